#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "nomiqon/audit/auditor.h"
#include "nomiqon/audit/line.h"
#include "token_proof.h"
#include "used_tokens.h"

namespace nomiqon::audit {

/// The state behind an Auditor: one function for each kind of line, which checks the line against the state
/// and then changes the state as the ledger did.
class Auditor::Replay {
  public:
    Replay(std::string agent, Options options, const Opening& opening);

    std::optional<Finding> add(std::string_view text, const Hash& hash);
    [[nodiscard]] std::optional<Finding> finish() const;

    std::string agent;
    Head head;
    Balances balances;
    std::map<Day, DayTotals> days;
    RowCounts counts;
    std::unordered_map<std::string, OpenReservation> open;

  private:
    using Found = std::optional<Problem>;

    /// The second line that an ending needs.
    struct Expected {
        Kind kind;
        std::string debit, credit;
        Usdc amount;
        std::string transaction;
    };

    Found check_place(const std::expected<Line, std::string>& line, std::string_view text, const Hash& hash);
    Found apply(const Line& line);
    Found apply_plain(const Movement& m);
    Found second_line(const Movement& m);
    Found reserve(const Movement& m, const Reservation& r);
    Found use_token(const Movement& m, const Reservation& r);
    [[nodiscard]] Found check_held(const Movement& m, const Reservation& r) const;
    [[nodiscard]] Found check_caps(const Movement& m, const Reservation& r);
    Found end(const Movement& m, const EndingLine& e);
    [[nodiscard]] Found check_charge(const std::optional<std::string>& basis, Usdc cost) const;
    void book_ending(const OpenReservation& reservation, Usdc cost);
    Found correct(const Movement& m, const Correction& c);
    void move(const Movement& m);
    [[nodiscard]] Found check_books() const;
    [[nodiscard]] Finding finding(Problem problem, std::int64_t seq,
                                  std::optional<std::string> transaction) const;

    void raise(Usdc& sum, Usdc by);
    void lower(Usdc& sum, Usdc by);

    bool with_tokens_;
    std::function<std::optional<Usdc>(std::string_view)> recompute_;
    std::optional<std::set<std::string>> caids_;
    Hasher hasher_;
    UsedTokens tokens_;
    std::unordered_map<std::string, ExpiredReservation> expired_;
    std::optional<Expected> expected_;
    Usdc treasury_, wallet_, held_, providers_;  // what the lines moved, account by account
    bool overflow_ = false;
    std::optional<Finding> failed_;
};

}  // namespace nomiqon::audit
