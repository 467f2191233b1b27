#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "model_ledger.h"

namespace nomiqon::simulation {

/// Decides whether what stands in the tables can be true. It goes through each agent's transfers line by
/// line, from where it stopped the last time, adds them up for itself, and compares the sums with the stored
/// ones. Of the model it knows the rows, and none of its code.
class Judge {
  public:
    /// To be called between transactions. What it finds it keeps; the first finding of an agent ends its
    /// case.
    void look_at(const std::map<std::string, Account>& accounts);

    /// What a caller was told: at most one of these for a `once` token.
    void hear_token_paid_or_402(const std::string& token, const std::string& transaction);

    /// How a caller ended its reservation. `kept`: its gateway lived until the ledger had it.
    struct Promise {
        std::string agent, transaction;
        bool settled = true, unknown = false, kept = true;
        std::int64_t amount = 0;
    };
    void hear_ending(Promise promise) { promises_.push_back(std::move(promise)); }

    /// At the end, when all gateways have drained or are gone and their leases have lapsed: nothing is held
    /// any more, and every promise is in the ledger.
    void close(const std::map<std::string, Account>& accounts);

    [[nodiscard]] const std::vector<std::string>& findings() const { return findings_; }
    [[nodiscard]] bool clean() const { return findings_.empty(); }
    [[nodiscard]] std::uint64_t lines() const { return lines_; }

  private:
    struct Life {  // of a reservation
        Day day;
        std::int64_t held = 0, bound = 0, booked = 0;
        bool ended = false, expired = false, corrected = false;
        std::string session;  // the token's key; empty: a `once` token
    };
    struct Sums {
        std::int64_t spent = 0, reserved = 0;
    };
    struct Session : Sums {
        std::int64_t exp = 0;
    };
    struct Rest {  // the second line of an ending, which must follow
        std::string kind, debit, credit;
        std::int64_t amount = 0;
        std::string transaction;
        Time at;
    };
    struct Case {
        bool closed = false;
        std::size_t next = 0;  // the place of the next transfer
        Hash hash{};
        Time last{};
        std::int64_t wallet = 0, held = 0, spent = 0, exposed = 0;
        std::map<Day, Sums> days;
        std::unordered_map<std::string, Session> tokens;    // of sessions
        std::unordered_map<std::string, std::string> used;  // `once` tokens, and for what
        std::unordered_map<std::string, Life> lives;
        std::size_t open = 0;
        std::optional<Rest> rest;
    };
    struct Says;

    void replay(const std::string& agent, const Account& account, Case& at);
    void line(const Says& says, const Account& account, const TransferRow& row, Case& at);
    void reserve(const Says& says, const Account& account, const TransferRow& row, Case& at);
    void end(const Says& says, const Account& account, const TransferRow& row, Case& at);
    void correct(const Says& says, const Account& account, const TransferRow& row, Case& at);
    static void second_line(const Says& says, const TransferRow& row, Case& at);
    static void compare(const Says& says, const Account& account, const Case& at);
    void check_promise(const Promise& promise, const Account& account);

    std::map<std::string, Case> cases_;
    std::unordered_map<std::string, std::string> paid_;
    std::vector<Promise> promises_;
    std::vector<std::string> findings_;
    std::uint64_t lines_ = 0;
};

}  // namespace nomiqon::simulation
