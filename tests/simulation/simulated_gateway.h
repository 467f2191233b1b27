#pragma once

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <unordered_map>

#include "batcher.h"
#include "judge.h"
#include "nomiqon/service/spend_authorizer.h"
#include "simulated_database.h"

namespace nomiqon::simulation {

/// Where a gateway can die.
enum class CrashPoint : std::uint8_t {
    before_send,    ///< a batch is made up and not yet sent
    after_send,     ///< it is on its way
    after_commit,   ///< the database has it, and the answer is on its way
    after_answer,   ///< the callers have their answers, nobody has settled
    before_ending,  ///< a caller has its answer from the provider, the ending is not handed in
    after_ending,   ///< it is queued
};
inline constexpr std::size_t crash_points = 6;

/// A clock that is wrong by a constant.
class SkewedClock final : public Clock {
  public:
    SkewedClock(const World& world, Micros skew) : world_(world), skew_(skew) {}
    [[nodiscard]] Time now() const override { return world_.now() + skew_; }

  private:
    const World& world_;
    const Micros skew_;
};

struct GatewayStats {
    std::array<std::uint64_t, crash_points> crashes{};
    std::uint64_t batches = 0, endings = 0, reserves = 0, doubts = 0, lost_leases = 0, timeouts = 0;
};

/// One run of one gateway: the real SpendAuthorizer over the real Batcher, one a connection; what the
/// worker's and the maintenance's threads do around them is done here by events. It dies with its
/// destruction, at whatever point.
class SimulatedGateway final : public ledger::Ledger {
  public:
    SimulatedGateway(World& world, SimulatedDatabase& database, Judge& judge, GatewayStats& stats,
                     std::shared_ptr<const metering::RouteTable> routes, std::function<void()> on_death);
    ~SimulatedGateway() override;

    [[nodiscard]] service::SpendAuthorizer& authorizer() { return authorizer_; }
    /// Runs a caller, as far as it gets.
    void spawn(boost::asio::awaitable<void> caller);
    /// Keeps a reservation until its caller ends it, or the gateway dies.
    void keep(service::Reservation reservation);
    [[nodiscard]] std::optional<service::Reservation> take(const std::string& transaction);
    /// What the caller will have been told once `command` is handed in.
    void promise(Judge::Promise promise);
    /// No contact with the database for so long.
    void cut_off(Micros how_long);
    /// How probable a death is at each point: one in so many; 0: never.
    void set_crash_odds(std::uint64_t one_in) { crash_one_in_ = one_in; }
    /// Calls `on_death` soon, which is to destroy it.
    void die();
    [[nodiscard]] bool is_dying() const { return dying_; }
    /// Whether all that was handed in is in the database.
    [[nodiscard]] bool is_drained() const;
    /// Gives the lease back.
    void leave();
    void after_commit(const Work& work);
    /// What NOTIFY brings: some of this agent's money came back.
    void hear_freed(const std::string& agent);

    boost::asio::awaitable<std::expected<std::optional<ledger::AgentSnapshot>, ledger::LedgerError>>
    find_agent(Caid caid) override;
    boost::asio::awaitable<std::expected<bool, ledger::LedgerError>> is_token_used(AgentId agent, Caid caid,
                                                                                   std::int64_t exp,
                                                                                   std::string jti) override;
    boost::asio::awaitable<std::expected<Usdc, ledger::LedgerError>> affordable(
        ledger::AffordableQuery) override {
        co_return std::unexpected{ledger::LedgerError::unavailable};  // nobody asks here
    }
    boost::asio::awaitable<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> reserve(
        ledger::ReserveCommand command) override;
    void end(ledger::EndCommand command) override;
    void record_refusal(ledger::RefusalRecord) override {}

  private:
    struct Connection {
        ledger::Batcher batcher{{.queue = 100, .batch = 48}};
        std::optional<SimulatedDatabase::Session> session;
        bool busy = false;
        std::chrono::steady_clock::time_point retry_at{};
        std::chrono::steady_clock::time_point due = std::chrono::steady_clock::time_point::max();
    };
    struct Doubt {
        SimulatedDatabase::Session session;
        std::vector<ledger::EndCommand> releases;
    };
    struct UnderWay;

    Connection& connection_of(const std::string& agent);
    void pump(Connection& connection);
    void send(Connection& connection, std::shared_ptr<UnderWay> under_way);
    void hear(Connection& connection, const std::shared_ptr<UnderWay>& under_way,
              std::expected<WorkAnswers, SimulatedDatabase::Failure> answer);
    void deliver(Connection& connection, UnderWay& under_way, WorkAnswers answers);
    void give_up(Connection& connection, UnderWay& under_way, bool was_sent);
    [[nodiscard]] bool has_contact() const;
    [[nodiscard]] bool renew_lease();
    void tick();
    void run();
    bool dies_at(CrashPoint point);
    /// An event that is forgotten when the gateway dies first.
    void after(Micros delay, std::function<void()> event);

    World& world_;
    SimulatedDatabase& database_;
    Judge& judge_;
    GatewayStats& stats_;
    const std::function<void()> on_death_;
    SkewedClock clock_;
    std::string id_;
    std::uint64_t crash_one_in_ = 0;
    bool dying_ = false, dead_ = false, running_ = false, left_ = false;
    Time cut_off_until_{};
    std::vector<Doubt> doubts_;
    std::unordered_map<std::string, Judge::Promise>
        promises_;  // by transaction, until the ledger has the ending
    std::array<Connection, 2> connections_;
    boost::asio::io_context context_{1};
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> working_;
    service::SpendAuthorizer authorizer_;
    std::map<std::string, service::Reservation> reservations_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nomiqon::simulation
