#include "nomiqon/audit/invariant.h"

#include <array>

namespace nomiqon::audit {
namespace {

constexpr std::array table{
    InvariantInfo{
        Invariant::form, "form",
        "A line is of a known kind, with exactly that kind's members, in the form that the ledger writes."},
    InvariantInfo{Invariant::sequence, "sequence", "An agent's lines are numbered 1, 2, 3, … without a gap."},
    InvariantInfo{Invariant::chain, "chain",
                  "A line's hash is the SHA-256 of the hash before it and of its own text."},
    InvariantInfo{Invariant::owner, "owner", "A line belongs to the agent in whose chain it stands."},
    InvariantInfo{
        Invariant::day, "day",
        "A movement's day is the UTC day of its time, and a reservation counts on one day for good."},
    InvariantInfo{Invariant::accounts, "accounts", "Money moves only between the two accounts of its kind."},
    InvariantInfo{Invariant::identity, "identity", "A reservation's CAID is registered for its agent."},
    InvariantInfo{
        Invariant::token_proof, "token_proof",
        "A reservation has a spend token that its CAID signed, and that says what the ledger says of it."},
    InvariantInfo{Invariant::token_life, "token_life", "A token had not expired when it was used."},
    InvariantInfo{Invariant::token_binding, "token_binding",
                  "A token that is bound to a method or a URL was used for that one."},
    InvariantInfo{Invariant::token_once, "token_once", "A `once` token's id is used once."},
    InvariantInfo{Invariant::session_max, "session_max",
                  "What a token has spent and holds is never above its `max`, when it reserves."},
    InvariantInfo{Invariant::held_amount, "held_amount", "A reservation never holds more than its bound."},
    InvariantInfo{
        Invariant::overrun_limit, "overrun_limit",
        "Where less than the bound is held, the sum of bound − held over the open reservations is at most "
        "the overrun limit."},
    InvariantInfo{Invariant::wallet, "wallet",
                  "A wallet has what it gives: it falls below zero through marked overruns only."},
    InvariantInfo{
        Invariant::total_cap, "total_cap",
        "What is spent and held in all, this reservation included, is at most the total cap of that time."},
    InvariantInfo{
        Invariant::daily_cap, "daily_cap",
        "What is spent and held on a day, this reservation included, is at most the daily cap of that time."},
    InvariantInfo{Invariant::ends_once, "ends_once",
                  "An ending belongs to an open reservation, and each reservation ends once."},
    InvariantInfo{Invariant::cost, "cost",
                  "An ending moves what it cost, or gives back all; what costs more than was held is marked "
                  "an overrun."},
    InvariantInfo{Invariant::charge, "charge",
                  "A charge that says how it was computed is what its price book leads to."},
    InvariantInfo{
        Invariant::second_line, "second_line",
        "The rest of an ending, what is given back or what is paid beyond the held, follows at once."},
    InvariantInfo{Invariant::correction, "correction",
                  "Only what had expired is corrected, once, by the difference to what was booked."},
    InvariantInfo{
        Invariant::books, "books",
        "The accounts' sums are what the reservations and their endings add up to, and are zero together."},
    InvariantInfo{Invariant::stored, "stored", "The stored rows are what the chain adds up to."},
};

consteval bool is_in_order() {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (static_cast<std::size_t>(table[i].invariant) != i) return false;
    return true;
}
static_assert(is_in_order());
static_assert(table.size() == static_cast<std::size_t>(Invariant::stored) + 1);

}  // namespace

std::span<const InvariantInfo> invariants() {
    return table;
}

const InvariantInfo& info(Invariant invariant) {
    return table[static_cast<std::size_t>(invariant)];
}

}  // namespace nomiqon::audit
