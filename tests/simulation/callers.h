#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "nomiqon/token/spend_token.h"
#include "simulated_gateway.h"

namespace nomiqon::simulation {

/// The agents and their requests: whom the gateways serve. Most requests go straight to Ledger::reserve with
/// a text for a token, as signing and verifying one costs more than all the rest; one in so many goes through
/// the SpendAuthorizer with a token that is really signed.
class Callers {
  public:
    Callers(World& world, ModelLedger& model, Judge& judge, std::size_t agents);

    /// A request by somebody, through this gateway, and what comes of it. Returns as soon as it waits.
    void request(SimulatedGateway& gateway, std::function<SimulatedGateway*()> still_there);
    /// An administrative change of some agent that is not locked.
    void administer();

    [[nodiscard]] std::uint64_t trace() const { return trace_; }  ///< a hash of all answers
    [[nodiscard]] const std::map<std::string, std::uint64_t>& answers() const { return answers_; }
    [[nodiscard]] std::uint64_t verified_tokens() const { return verified_; }

  private:
    using StillThere = std::function<SimulatedGateway*()>;
    struct Session {
        std::string jti;
        std::int64_t exp = 0, max = 0;
        std::string signed_text;
    };
    struct Agent {
        std::string id;
        token::SigningKey key;
        std::vector<Session> sessions;
        std::deque<std::pair<std::string, std::int64_t>> once;  // ids that were presented, and their exp
        std::int64_t scale = 0;                                 // of its amounts
    };

    Agent& somebody();
    Session session(Agent& agent);
    Policy policy(const Agent& agent);
    std::int64_t amount(const Agent& agent);
    ledger::ReserveCommand command(Agent& agent);
    service::SpendRequest spend_request(Agent& agent);
    boost::asio::awaitable<void> reserve(SimulatedGateway& gateway, ledger::ReserveCommand command,
                                         StillThere still_there);
    boost::asio::awaitable<void> authorize(SimulatedGateway& gateway, service::SpendRequest request,
                                           std::int64_t bound, StillThere still_there);
    void hear(const ledger::ReserveCommand& command, const ledger::ReserveAnswer& answer);
    void end_later(const ledger::Reserved& held, std::int64_t bound, const StillThere& still_there);
    void note(std::string_view answer, std::int64_t amount);
    Judge::Promise ending(const std::string& agent, const std::string& transaction, std::int64_t bound);

    World& world_;
    ModelLedger& model_;
    Judge& judge_;
    std::vector<Agent> agents_;
    std::uint64_t count_ = 0, verified_ = 0, trace_ = 14695981039346656037U;
    std::map<std::string, std::uint64_t> answers_;
};

}  // namespace nomiqon::simulation
