#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "nomiqon/ledger/ledger.h"

// The reference model of the money functions in migrations/: what they must answer and store, written down a
// second time, in memory, without SQL. The comparison test holds the two against each other; the simulation
// uses the model as its database. No code is shared with the functions, and none with the simulation's judge.
namespace nomiqon::simulation {

/// What can be broken on purpose, to show that the tests would see it.
enum class Fault : std::uint8_t {
    none,
    lock_left_out,          ///< a transaction reads an agent's rows while another is about to write them
    settlement_repeats,     ///< an ending that was there before moves the money again
    refusal_burns_nothing,  ///< a 402 leaves a `once` token usable
    wallet_unchecked,       ///< the balance stops nobody
    wrong_day,              ///< an ending counts on its own day, not on the reservation's
    chain_stuck,            ///< a line's hash does not become the next one's predecessor
};

using Hash = std::array<unsigned char, 32>;
using Cap = std::optional<std::int64_t>;

struct Policy {
    Cap daily_cap, total_cap, max_per_request;
    bool frozen = false;
    std::string document = "{}";
};

enum class Status : std::uint8_t { active, paused, terminated };

struct AgentRow {
    Status status = Status::active;
    std::int32_t policy_version = 1;
    Policy policy;
    std::map<std::string, bool> caids;  // by its text: whether it is still active
};

struct WalletRow {
    std::int64_t balance = 0, reserved = 0, spent = 0, exposed = 0;
    std::int64_t chain_seq = 0;
    Hash chain_hash{};
    friend bool operator==(const WalletRow&, const WalletRow&) = default;
};

struct DayRow {
    std::int64_t spent = 0, reserved = 0;
    friend bool operator==(const DayRow&, const DayRow&) = default;
};

struct TokenRow {
    bool session = false;
    std::int64_t exp = 0;
    std::int64_t spent = 0, reserved = 0;
};

struct ReservationRow {
    Day day;
    std::string transaction, request, gateway, caid;
    std::int32_t policy_version = 0;
    std::int64_t amount = 0, bound = 0, overrun_limit = 0;
    Cap daily_cap, total_cap, token_max;
    std::string scheme, host;
    std::uint16_t port = 0;
    std::string method, model, ref, token_id;
    std::int64_t token_exp = 0;
    bool token_session = false;
    std::string token;
    Time created_at;
};

struct EndingRow {
    bool settled = false;
    std::int64_t amount = 0;
    bool unknown = false, overrun = false;
    std::string reason, model, basis;
};

struct CorrectionRow {
    std::int64_t amount = 0;
    std::string reason, model, basis;
};

struct TransferRow {
    std::int64_t seq = 0;
    Day day;
    std::string kind, debit, credit;
    std::int64_t amount = 0;
    std::string transaction;  // empty: none
    std::string reference;    // empty: none
    Time created_at;
    Hash hash{};
    std::string line;  // that was hashed; no column
};

struct GatewayRow {
    Time lease_until;
    std::optional<Time> gone_at;
    bool swept = false;
};

/// All rows that lead with one agent's id.
struct Account {
    AgentRow agent;
    WalletRow wallet;
    std::map<Day, DayRow> days;
    std::unordered_map<std::string, TokenRow> tokens;  // by `token_key`
    std::unordered_map<std::string, ReservationRow> reservations;
    std::unordered_map<std::string, EndingRow> endings;
    std::unordered_map<std::string, CorrectionRow> corrections;
    std::set<std::string> open;  // reservations without an ending
    std::map<std::string, std::int64_t> funding;
    std::vector<TransferRow> transfers;
};

[[nodiscard]] std::string token_key(const std::string& caid, std::int64_t exp, const std::string& jti);

enum class EndOutcome : std::uint8_t { ended, already_ended, not_found, corrected };
[[nodiscard]] std::string_view name_of(EndOutcome outcome);

/// One call of nomiqon.work.
struct Work {
    std::string gateway;
    std::vector<ledger::EndCommand> endings;
    std::vector<ledger::ReserveCommand> requests;
};
struct WorkAnswers {
    std::vector<EndOutcome> endings;
    std::vector<ledger::ReserveAnswer> requests;
};

/// What an administrative change was refused for.
enum class Refused : std::uint8_t { not_found, conflict, invalid };
using Done = std::expected<void, Refused>;

class Draft;

/// One thread. Times are the database's.
class ModelLedger {
  public:
    explicit ModelLedger(Fault fault = Fault::none);
    ~ModelLedger();
    ModelLedger(const ModelLedger&) = delete;
    ModelLedger& operator=(const ModelLedger&) = delete;

    // The hot path. A transaction reads when it is prepared, and writes when it is committed, row by row and
    // in full: whatever else was written between the two is lost, unless the locks prevent it.
    class Transaction;
    enum class NotYet : std::uint8_t { locked, lease_lapsed };
    [[nodiscard]] std::expected<Transaction, NotYet> prepare(const Work& work, Time now);
    WorkAnswers commit(Transaction transaction);
    void abandon(const Transaction& transaction);
    /// Both at once; nobody else may be in between.
    [[nodiscard]] std::expected<WorkAnswers, NotYet> work(const Work& work, Time now);

    [[nodiscard]] bool renew_lease(const std::string& gateway, Time until);
    void end_lease(const std::string& gateway, Time now);
    /// Answers how many reservations of gone gateways it ended. Agents that are locked are left for the next
    /// time.
    int expire(Time now);
    void forget_tokens(Time now);

    // Administration. None may be called for an agent that is locked.
    [[nodiscard]] bool is_locked(const std::string& agent) const { return locked_.contains(agent); }
    void create_agent(const std::string& agent, const std::string& caid, const Policy& policy);
    Done add_caid(const std::string& agent, const std::string& caid);
    Done revoke_caid(const std::string& agent, const std::string& caid);
    Done set_policy(const std::string& agent, const Policy& policy);
    Done set_paused(const std::string& agent, bool paused);
    Done terminate(const std::string& agent, Time now);
    Done fund(const std::string& agent, std::int64_t amount, const std::string& reference, Time now);
    Done adjust(const std::string& agent, std::int64_t amount, const std::string& reason, Time now);

    [[nodiscard]] std::optional<ledger::AgentSnapshot> find_agent(const std::string& caid) const;
    [[nodiscard]] bool is_token_used(const std::string& agent, const std::string& caid, std::int64_t exp,
                                     const std::string& jti) const;
    [[nodiscard]] const std::map<std::string, Account>& accounts() const { return accounts_; }

  private:
    bool lock(const std::set<std::string>& agents);
    void unlock(const std::set<std::string>& agents);
    bool sweep(const std::string& gateway, Time now, int& count);
    void write(Account& account, Draft draft);
    Account* find(const std::string& agent);

    const Fault fault_;
    std::map<std::string, Account> accounts_;
    std::map<std::string, std::string> caid_owners_;
    std::map<std::string, GatewayRow> gateways_;
    std::set<std::string> locked_;
};

/// One agent's rows as a transaction leaves them: copies of what it read, changed, and what it adds.
class Draft {
  public:
    Draft(const std::string& id, const Account& base, Fault fault);

    ledger::ReserveAnswer reserve(const std::string& gateway, const ledger::ReserveCommand& request,
                                  Time now);
    EndOutcome end(const ledger::EndCommand& command, Time now);
    void fund(std::int64_t amount, const std::string& reference, Time now);
    void adjust(std::int64_t amount, const std::string& reason, Time now);
    void terminate(Time now);

  private:
    friend class ModelLedger;
    struct Movement {
        std::string_view kind, debit, credit;
        std::int64_t amount;
        std::string_view transaction = {}, reference = {};
    };
    DayRow& day(Day day);
    TokenRow* token(const std::string& key);
    TokenRow* session(const ReservationRow& held, Time now);
    const ReservationRow* reservation(const std::string& transaction) const;
    const EndingRow* ending(const std::string& transaction) const;
    bool is_corrected(const std::string& transaction) const;
    std::optional<RefusalCode> refusal(const ledger::ReserveCommand& request, const TokenRow* token,
                                       Time now) const;
    std::optional<ledger::ReserveRefused> money_refusal(const ledger::ReserveCommand& request,
                                                        const TokenRow* token, std::int64_t held, Time now);
    std::int64_t amount_to_hold(const ledger::ReserveCommand& request) const;
    void hold(ReservationRow row, Time now);
    EndOutcome correct(const ReservationRow& held, const EndingRow& expired,
                       const ledger::EndCommand& command, Time now);
    void book(const ReservationRow& held, std::int64_t cost, Day on, Time now);
    void return_funds(Time now);
    void move(const Movement& movement, Time now, std::string_view more = {});

    std::string id_;
    const Account* base_;
    Fault fault_;
    AgentRow agent_;
    WalletRow wallet_;
    std::map<Day, DayRow> days_;
    std::map<std::string, TokenRow> tokens_;
    std::map<std::string, ReservationRow> reservations_;
    std::map<std::string, EndingRow> endings_;
    std::map<std::string, CorrectionRow> corrections_;
    std::map<std::string, std::int64_t> funding_;
    std::vector<TransferRow> transfers_;
};

class ModelLedger::Transaction {
  public:
    [[nodiscard]] const std::set<std::string>& agents() const { return agents_; }

  private:
    friend class ModelLedger;
    std::set<std::string> agents_;
    std::map<std::string, Draft> drafts_;
    WorkAnswers answers_;
};

}  // namespace nomiqon::simulation
