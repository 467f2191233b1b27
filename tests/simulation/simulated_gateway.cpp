#include "simulated_gateway.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace nomiqon::simulation {
namespace {

namespace asio = boost::asio;
using ledger::EndCommand;
using ledger::LedgerError;
using ledger::ReserveCommand;
using ledger::ReserveResult;
using Failure = SimulatedDatabase::Failure;
using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr Micros lease = 10s;
constexpr Micros tick_every = 500ms;
constexpr Micros retry_pause = 200ms;
constexpr Micros answer_limit = 3s;
constexpr Micros wait_for_money = 500ms;
constexpr Micros notification_takes = 150us;
constexpr int attempts = 5;

ledger::EndOutcome outcome_of(EndOutcome outcome) {
    switch (outcome) {
        case EndOutcome::ended:
            return ledger::EndOutcome::ended;
        case EndOutcome::already_ended:
            return ledger::EndOutcome::already_ended;
        case EndOutcome::not_found:
            return ledger::EndOutcome::not_found;
        case EndOutcome::corrected:
            return ledger::EndOutcome::corrected;
    }
    std::unreachable();
}

Micros skew(Random& random) {
    if (random.one_in(8)) return std::chrono::minutes{random.between(-10, 10)};
    return Micros{random.between(-20'000'000, 20'000'000)};
}

}  // namespace

struct SimulatedGateway::UnderWay {
    ledger::Batch batch;
    int tries = 0;
    bool done = false;  // answered, or given up
};

SimulatedGateway::SimulatedGateway(World& world, SimulatedDatabase& database, Judge& judge,
                                   GatewayStats& stats, std::shared_ptr<const metering::RouteTable> routes,
                                   std::function<void()> on_death)
    : world_(world),
      database_(database),
      judge_(judge),
      stats_(stats),
      on_death_(std::move(on_death)),
      clock_(world, skew(world.random)),
      id_(world.random.id<GatewayId>().str()),
      working_(context_.get_executor()),
      authorizer_(*this, clock_, std::move(routes), {.cached_agents = 64}) {
    tick();
}

SimulatedGateway::~SimulatedGateway() {
    dead_ = true;
    alive_.reset();
    for (auto& [transaction, promise] : promises_) {
        promise.kept = false;
        judge_.hear_ending(std::move(promise));
    }
}

void SimulatedGateway::after(Micros delay, std::function<void()> event) {
    world_.after(delay, [this, alive = std::weak_ptr<bool>{alive_}, event = std::move(event)] {
        if (alive.expired()) return;
        event();
        run();
    });
}

// Lets the coroutines go on.
void SimulatedGateway::run() {
    if (running_) return;
    running_ = true;
    while (context_.poll() > 0) {
    }
    running_ = false;
}

bool SimulatedGateway::dies_at(CrashPoint point) {
    if (dying_ || crash_one_in_ == 0 || !world_.random.one_in(crash_one_in_)) return false;
    ++stats_.crashes[static_cast<std::size_t>(point)];
    die();
    return true;
}

// After what is under way on this very stack.
void SimulatedGateway::die() {
    if (std::exchange(dying_, true)) return;
    world_.after(Micros{0}, on_death_);
}

// Callers ---------------------------------------------------------------------------------------------------

void SimulatedGateway::spawn(asio::awaitable<void> caller) {
    asio::co_spawn(context_, std::move(caller), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
    run();
}

void SimulatedGateway::keep(service::Reservation reservation) {
    std::string transaction = reservation.transaction().str();
    reservations_.emplace(std::move(transaction), std::move(reservation));
}

std::optional<service::Reservation> SimulatedGateway::take(const std::string& transaction) {
    auto node = reservations_.extract(transaction);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
}

void SimulatedGateway::promise(Judge::Promise promise) {
    std::string transaction = promise.transaction;
    promises_.emplace(std::move(transaction), std::move(promise));
}

// The ledger, as the service sees it ------------------------------------------------------------------------

asio::awaitable<std::expected<std::optional<ledger::AgentSnapshot>, LedgerError>>
SimulatedGateway::find_agent(Caid caid) {
    if (!has_contact()) co_return std::unexpected{LedgerError::unavailable};
    co_return database_.model().find_agent(caid.str());
}

asio::awaitable<std::expected<bool, LedgerError>> SimulatedGateway::is_token_used(AgentId agent, Caid caid,
                                                                                  std::int64_t exp,
                                                                                  std::string jti) {
    if (!has_contact()) co_return std::unexpected{LedgerError::unavailable};
    co_return database_.model().is_token_used(agent.str(), caid.str(), exp, jti);
}

asio::awaitable<std::expected<ledger::ReserveAnswer, LedgerError>> SimulatedGateway::reserve(
    ReserveCommand command) {
    const auto executor = co_await asio::this_coro::executor;
    // The service's own deadline is of the real clock, which stands still here.
    command.wait_until = world_.steady() + wait_for_money;
    // Timers know the real clock only: a caller gives up at once, or never.
    const bool gives_up = world_.random.one_in(300);
    const auto pending = std::make_shared<ledger::Pending<ReserveResult>>(
        executor, gives_up ? Steady::time_point{} : Steady::time_point::max());
    Connection& connection = connection_of(command.agent.str());
    ++stats_.reserves;
    connection.batcher.submit({std::move(command), pending});
    pump(connection);
    std::optional<ReserveResult> answer = co_await pending->wait();
    if (!answer) co_return std::unexpected{LedgerError::unavailable};
    co_return std::move(*answer);
}

void SimulatedGateway::end(EndCommand command) {
    if (dead_ || dies_at(CrashPoint::before_ending)) return;
    Connection& connection = connection_of(command.agent.str());
    ++stats_.endings;
    if (world_.random.one_in(50)) {
        ++stats_.endings;
        connection.batcher.submit(command);
    }
    connection.batcher.submit(std::move(command));
    if (dies_at(CrashPoint::after_ending)) return;
    pump(connection);
}

// A worker --------------------------------------------------------------------------------------------------

SimulatedGateway::Connection& SimulatedGateway::connection_of(const std::string& agent) {
    return connections_[std::hash<std::string>{}(agent) % connections_.size()];
}

bool SimulatedGateway::has_contact() const {
    return database_.is_up() && cut_off_until_ <= world_.now();
}

void SimulatedGateway::pump(Connection& connection) {
    while (!connection.busy && !dying_) {
        const auto now = world_.steady();
        const bool away = now < connection.retry_at;
        const bool asked = connection.batcher.has_request(now);
        if (!asked && (away || !connection.batcher.has_ending())) {
            auto due = connection.batcher.next_due();
            if (connection.batcher.has_ending()) due = std::min(due, connection.retry_at);
            if (due == Steady::time_point::max() || (due >= connection.due && connection.due > now)) return;
            connection.due = due;
            const auto delay = std::chrono::ceil<Micros>(due - now);
            return after(delay, [this, &connection] { pump(connection); });
        }
        auto under_way = std::make_shared<UnderWay>(UnderWay{.batch = connection.batcher.take(now, !away)});
        if (under_way->batch.empty()) continue;
        ++stats_.batches;
        if (dies_at(CrashPoint::before_send)) return;
        if (away) {
            give_up(connection, *under_way, false);
        } else {
            send(connection, std::move(under_way));
        }
    }
}

void SimulatedGateway::send(Connection& connection, std::shared_ptr<UnderWay> under_way) {
    if (!connection.session && has_contact()) connection.session = database_.connect();
    if (!connection.session || !has_contact()) return give_up(connection, *under_way, false);
    connection.busy = true;
    ++under_way->tries;
    Work work{.gateway = id_, .endings = under_way->batch.endings, .requests = {}};
    for (const ledger::ReserveRequest& request : under_way->batch.requests)
        work.requests.push_back(request.command);
    database_.work(*connection.session, std::move(work),
                   [this, alive = std::weak_ptr<bool>{alive_}, &connection, under_way](auto answer) {
                       if (alive.expired()) return;
                       hear(connection, under_way, std::move(answer));
                       run();
                   });
    dies_at(CrashPoint::after_send);
    // The watchdog's: whoever hears nothing hangs up, and knows nothing.
    after(answer_limit, [this, &connection, under_way, tries = under_way->tries] {
        if (under_way->done || under_way->tries != tries) return;
        ++stats_.timeouts;
        give_up(connection, *under_way, true);
        pump(connection);
    });
}

void SimulatedGateway::hear(Connection& connection, const std::shared_ptr<UnderWay>& under_way,
                            std::expected<WorkAnswers, Failure> answer) {
    if (under_way->done || dying_) return;
    if (cut_off_until_ > world_.now()) return;  // it never arrives; the watchdog will notice
    connection.busy = false;
    if (answer) {
        deliver(connection, *under_way, *std::move(answer));
    } else if (answer.error() == Failure::connection) {
        give_up(connection, *under_way, true);
    } else if (under_way->tries >= attempts || (answer.error() == Failure::lease_lapsed && !renew_lease())) {
        under_way->done = true;
        [[maybe_unused]] const auto nothing = connection.batcher.give_up(std::move(under_way->batch), false);
    } else {
        return send(connection, under_way);
    }
    pump(connection);
}

void SimulatedGateway::deliver(Connection& connection, UnderWay& under_way, WorkAnswers answers) {
    under_way.done = true;
    ledger::BatchAnswer answer{.endings = {}, .requests = std::move(answers.requests)};
    for (const EndOutcome outcome : answers.endings)
        answer.endings.push_back(outcome_of(outcome));
    for (const EndCommand& ending : under_way.batch.endings) {
        auto promise = promises_.extract(ending.transaction.str());
        if (!promise.empty()) judge_.hear_ending(std::move(promise.mapped()));
    }
    connection.batcher.deliver(std::move(under_way.batch), answer, world_.steady());
    dies_at(CrashPoint::after_answer);
}

void SimulatedGateway::give_up(Connection& connection, UnderWay& under_way, bool was_sent) {
    under_way.done = true;
    connection.busy = false;
    connection.retry_at = world_.steady() + retry_pause;
    std::vector<EndCommand> releases = connection.batcher.give_up(std::move(under_way.batch), was_sent);
    if (connection.session) {
        if (!releases.empty()) {
            ++stats_.doubts;
            doubts_.push_back({*connection.session, std::move(releases)});
        }
        database_.hang_up(*connection.session);
    }
    connection.session.reset();
}

void SimulatedGateway::after_commit(const Work& work) {
    if (work.gateway == id_) dies_at(CrashPoint::after_commit);
}

void SimulatedGateway::hear_freed(const std::string& agent) {
    Connection& connection = connection_of(agent);
    if (connection.batcher.waiting() == 0 || !has_contact()) return;
    after(notification_takes, [this, &connection, agent] {
        connection.batcher.freed(agent);
        pump(connection);
    });
}

// The maintenance -------------------------------------------------------------------------------------------

void SimulatedGateway::cut_off(Micros how_long) {
    cut_off_until_ = world_.now() + how_long;
}

// Under a new name when the old one was taken for gone.
bool SimulatedGateway::renew_lease() {
    if (!has_contact()) return false;
    if (database_.model().renew_lease(id_, world_.now() + lease)) return true;
    ++stats_.lost_leases;
    id_ = world_.random.id<GatewayId>().str();
    return database_.model().renew_lease(id_, world_.now() + lease);
}

void SimulatedGateway::tick() {
    if (left_) return;
    if (has_contact()) {
        [[maybe_unused]] const bool renewed = renew_lease();
        std::vector<Doubt> still;
        for (Doubt& doubt : std::exchange(doubts_, {})) {
            if (database_.is_alive(doubt.session)) {
                still.push_back(std::move(doubt));
                continue;
            }
            for (EndCommand& release : doubt.releases)
                end(std::move(release));
        }
        doubts_.insert(doubts_.end(), std::make_move_iterator(still.begin()),
                       std::make_move_iterator(still.end()));
        database_.model().expire(world_.now());
    }
    after(tick_every, [this] { tick(); });
}

bool SimulatedGateway::is_drained() const {
    for (const Connection& connection : connections_) {
        if (connection.busy || connection.batcher.has_ending() || connection.batcher.waiting() > 0)
            return false;
    }
    return doubts_.empty() && reservations_.empty();
}

void SimulatedGateway::leave() {
    left_ = true;
    if (has_contact()) database_.model().end_lease(id_, world_.now());
}

}  // namespace nomiqon::simulation
