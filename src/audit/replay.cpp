// A line's place in the chain, the lines that stand alone, and the books. Reservations and their endings are
// in replay_reservations.cpp.

#include "replay.h"

#include <utility>

namespace nomiqon::audit {

Auditor::Replay::Replay(std::string agent_id, Options options, const Opening& opening)
    : agent(std::move(agent_id)),
      head(opening.head),
      balances(opening.balances),
      days(opening.days),
      with_tokens_(options.tokens),
      recompute_(std::move(options.recompute)) {
    if (options.caids) caids_.emplace(options.caids->begin(), options.caids->end());
    for (const auto& one : opening.open)
        open.emplace(one.transaction, one);
    for (const auto& one : opening.expired)
        expired_.emplace(one.transaction, one);
    for (const auto& used : opening.tokens) {
        auto& use = tokens_.add(used.key, used.session);
        use.spent = used.spent;
        use.reserved = used.reserved;
    }
    wallet_ = balances.balance;
    lower(wallet_, balances.reserved);
    held_ = balances.reserved;
    providers_ = balances.spent;
    lower(treasury_, balances.balance);
    lower(treasury_, balances.spent);
}

std::optional<Finding> Auditor::Replay::add(std::string_view text, const Hash& hash) {
    if (failed_) return failed_;
    const auto line = parse_line(text);
    auto problem = check_place(line, text, hash);
    if (!problem) problem = apply(*line);
    if (!problem && overflow_) problem = {Invariant::books, "a sum is more than an account can hold"};
    if (!problem && !expected_) problem = check_books();
    if (problem) {
        failed_ = line ? finding(std::move(*problem), line->movement.seq, line->movement.transaction)
                       : finding(std::move(*problem), head.seq + 1, std::nullopt);
        return failed_;
    }
    head = {.seq = head.seq + 1, .hash = hash};
    ++counts.transfers;
    return std::nullopt;
}

std::optional<Finding> Auditor::Replay::finish() const {
    if (failed_ || !expected_) return failed_;
    return finding({Invariant::second_line, "the chain ends before the rest of this ending"}, head.seq,
                   expected_->transaction);
}

Finding Auditor::Replay::finding(Problem problem, std::int64_t seq,
                                 std::optional<std::string> transaction) const {
    return {.invariant = problem.invariant,
            .agent = agent,
            .seq = seq,
            .transaction = std::move(transaction),
            .what = std::move(problem.what)};
}

/// Whether the line is the next one of this chain, untouched. The number is asked before the hash, since a
/// row that is gone is better told than a hash that doesn't fit.
Auditor::Replay::Found Auditor::Replay::check_place(const std::expected<Line, std::string>& line,
                                                    std::string_view text, const Hash& hash) {
    if (line && line->movement.agent != agent) return Problem{Invariant::owner, "it is another agent's line"};
    if (line && line->movement.seq != head.seq + 1) {
        return Problem{Invariant::sequence, "line " + std::to_string(line->movement.seq) +
                                                " stands where line " + std::to_string(head.seq + 1) +
                                                " must stand"};
    }
    if (hasher_.next(head.hash, text) != hash) {
        return Problem{
            Invariant::chain,
            "its hash is not that of its text and of the hash before it: it was changed, or one before it"};
    }
    if (!line) return Problem{Invariant::form, line.error()};
    if (day_of(line->movement.at) != line->movement.day)
        return Problem{Invariant::day, "its day is not the UTC day of its time"};
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::apply(const Line& line) {
    const auto& m = line.movement;
    tokens_.forget(unix_seconds(m.at));
    const bool plain = std::holds_alternative<Plain>(line.details);
    if (expected_) {
        if (!plain)
            return Problem{Invariant::second_line, "the rest of the ending before it must stand here"};
        return second_line(m);
    }
    const bool needs_transaction = !plain;
    if (m.transaction.has_value() != needs_transaction && m.kind != Kind::settle && m.kind != Kind::release) {
        return Problem{Invariant::form,
                       needs_transaction ? "it names no transaction" : "it names a transaction"};
    }
    if (const auto* const r = std::get_if<Reservation>(&line.details)) return reserve(m, *r);
    if (const auto* const e = std::get_if<EndingLine>(&line.details)) return end(m, *e);
    if (const auto* const c = std::get_if<Correction>(&line.details)) return correct(m, *c);
    return apply_plain(m);
}

Auditor::Replay::Found Auditor::Replay::apply_plain(const Movement& m) {
    if (m.kind == Kind::settle || m.kind == Kind::release)
        return Problem{Invariant::second_line,
                       "it is the rest of an ending, and there is no ending before it"};
    const bool to_wallet = m.debit == treasury && m.credit == wallet;
    const bool from_wallet = m.debit == wallet && m.credit == treasury;
    const bool fits = m.kind == Kind::fund        ? to_wallet
                      : m.kind == Kind::give_back ? from_wallet
                                                  : to_wallet || from_wallet;
    if (!fits) return Problem{Invariant::accounts, "these are not the accounts of its kind"};
    if (m.amount.is_zero()) return Problem{Invariant::form, "it moves nothing"};
    if (m.kind == Kind::adjust && m.reference.value_or("").empty())
        return Problem{Invariant::form, "an adjustment has no reason"};
    if (from_wallet && balances.balance.minus(balances.reserved).value_or(Usdc{}) < m.amount)
        return Problem{Invariant::wallet, "the wallet has less than it gives"};
    if (m.kind == Kind::give_back && (!balances.reserved.is_zero() || m.amount != balances.balance))
        return Problem{Invariant::wallet,
                       "a terminated agent's money goes back whole, and with nothing held"};
    move(m);
    if (to_wallet) {
        raise(balances.balance, m.amount);
    } else {
        lower(balances.balance, m.amount);
    }
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::second_line(const Movement& m) {
    const auto expected = *std::exchange(expected_, std::nullopt);
    const bool fits = m.kind == expected.kind && m.debit == expected.debit && m.credit == expected.credit &&
                      m.amount == expected.amount && m.transaction == expected.transaction;
    if (!fits) {
        return Problem{
            Invariant::second_line,
            "the rest of the ending before it must stand here: " + std::string{to_string(expected.kind)} +
                ' ' + expected.amount.to_string() + " USDC of " + expected.transaction};
    }
    move(m);
    return std::nullopt;
}

/// By the accounts' names, which were checked.
void Auditor::Replay::move(const Movement& m) {
    const auto account = [this](std::string_view name) -> Usdc& {
        if (name == treasury) return treasury_;
        if (name == wallet) return wallet_;
        if (name == audit::held) return held_;
        return providers_;
    };
    lower(account(m.debit), m.amount);
    raise(account(m.credit), m.amount);
}

/// Two ways to the same sums: what the movements moved, and what reservations and endings mean.
Auditor::Replay::Found Auditor::Replay::check_books() const {
    const auto sum = treasury_.plus(wallet_)
                         .value_or(Usdc::from_nanos(1))
                         .plus(held_)
                         .value_or(Usdc::from_nanos(1))
                         .plus(providers_);
    if (sum != Usdc{}) return Problem{Invariant::books, "the accounts are not zero together"};
    if (held_ != balances.reserved)
        return Problem{Invariant::books, "the account `held` is not what is reserved"};
    if (balances.balance.minus(balances.reserved) != wallet_)
        return Problem{Invariant::books, "the account `wallet` is not the balance less what is reserved"};
    if (providers_ != balances.spent)
        return Problem{Invariant::books, "what providers got is not what was spent"};
    return std::nullopt;
}

void Auditor::Replay::raise(Usdc& sum, Usdc by) {
    const auto result = sum.plus(by);
    if (!result) overflow_ = true;
    sum = result.value_or(sum);
}

void Auditor::Replay::lower(Usdc& sum, Usdc by) {
    const auto result = sum.minus(by);
    if (!result) overflow_ = true;
    sum = result.value_or(sum);
}

}  // namespace nomiqon::audit
