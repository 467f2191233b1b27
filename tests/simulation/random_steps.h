#pragma once

#include <map>
#include <variant>
#include <vector>

#include "model_ledger.h"
#include "random.h"

namespace nomiqon::simulation {

// What the world does to a ledger, one thing at a time.
struct Advance {
    Time to;
};
struct CreateAgent {
    std::string agent, caid;
    Policy policy;
};
struct AddCaid {
    std::string agent, caid;
};
struct RevokeCaid {
    std::string agent, caid;
};
struct SetPolicy {
    std::string agent;
    Policy policy;
};
struct SetPaused {
    std::string agent;
    bool paused;
};
struct Terminate {
    std::string agent;
};
struct Fund {
    std::string agent;
    std::int64_t amount;
    std::string reference;
};
struct Adjust {
    std::string agent;
    std::int64_t amount;
    std::string reason;
};
struct RenewLease {
    std::string gateway;
    std::chrono::seconds lease;
};
struct Expire {};
struct ForgetTokens {};
using Step = std::variant<Work, Advance, CreateAgent, AddCaid, RevokeCaid, SetPolicy, SetPaused, Terminate,
                          Fund, Adjust, RenewLease, Expire, ForgetTokens>;

/// The policy's document as the API would store it.
[[nodiscard]] std::string document_of(const Policy& policy);

/// An endless random sequence of steps that are likely to meet every rule of the money functions: replays,
/// duplicates in a batch, sessions, caps that are lowered below what is spent, typical holds, overruns, late
/// settlements, freezes, midnight. Looks at the model to know what there is to end, and never at its answers.
class RandomSteps {
  public:
    RandomSteps(std::uint64_t seed, Time start);
    [[nodiscard]] Step next(const ModelLedger& model);
    [[nodiscard]] Time now() const { return now_; }

  private:
    struct Token {
        std::string agent;
        std::string caid, jti;
        std::int64_t exp;
        bool session;
        std::optional<std::int64_t> max;
    };
    struct Gateway {
        std::string id;
        Time lease_until;
    };
    Step administration(const ModelLedger& model);
    Step more_agents();
    Step time_passes();
    Work work(const ModelLedger& model);
    ledger::ReserveCommand request(const ModelLedger& model);
    void remember_late(const ModelLedger& model, const std::string& gateway);
    std::pair<std::string, std::string> to_end(const ModelLedger& model);
    std::optional<ledger::EndCommand> ending(const ModelLedger& model);
    Token token(const ModelLedger& model, const std::string& agent);
    Policy policy();
    std::int64_t amount();
    std::string text();
    std::string caid();
    const std::string& any_agent() { return random_.pick(agents_); }

    Random random_;
    Time now_;
    std::vector<std::string> agents_;
    std::vector<Gateway> gateways_;
    std::vector<Token> tokens_, sessions_;
    std::map<std::string, std::vector<std::string>> granted_;  // transactions by agent, ended or not
    std::vector<std::pair<std::string, std::string>> late_;    // agent and transaction: expired
    std::map<std::string, std::string> references_;
    std::size_t renewed_ = 0;
    bool lapsed_ = false;
    int steps_ = 0;
};

}  // namespace nomiqon::simulation
