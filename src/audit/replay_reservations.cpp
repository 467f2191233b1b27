// Reservations, their endings and corrections.

#include <utility>

#include "replay.h"

namespace nomiqon::audit {
namespace {

constexpr std::string_view expired_reason = "expired";

TokenKey key_of(const Reservation& r) {
    return {.caid = r.caid, .exp = r.token_exp, .id = r.token_id};
}

bool fits(Usdc limit, Usdc spent, Usdc reserved, Usdc amount) {
    const auto used = spent.plus(reserved);
    const auto sum = used ? used->plus(amount) : std::nullopt;
    return sum && *sum <= limit;
}

std::string beyond(std::string_view what, Usdc limit, Usdc spent, Usdc reserved, Usdc amount) {
    return std::string{what} + ' ' + limit.to_string() + " USDC: " + spent.to_string() + " spent, " +
           reserved.to_string() + " held, and this one holds " + amount.to_string();
}

}  // namespace

Auditor::Replay::Found Auditor::Replay::reserve(const Movement& m, const Reservation& r) {
    if (m.debit != wallet || m.credit != audit::held)
        return Problem{Invariant::accounts, "a reservation moves from the wallet to what is held"};
    if (open.contains(*m.transaction))
        return Problem{Invariant::ends_once, "this transaction is open already"};
    if (caids_ && !caids_->contains(r.caid))
        return Problem{Invariant::identity, "its CAID is not one of this agent's"};
    if (auto problem = use_token(m, r)) return problem;
    if (auto problem = check_held(m, r)) return problem;
    if (auto problem = check_caps(m, r)) return problem;

    move(m);
    raise(balances.reserved, m.amount);
    raise(balances.exposed, r.bound.minus(m.amount).value_or(Usdc{}));
    raise(days[m.day].reserved, m.amount);
    if (auto* const use = tokens_.find(key_of(r))) raise(use->reserved, m.amount);
    open.emplace(*m.transaction, OpenReservation{.transaction = *m.transaction,
                                                 .day = m.day,
                                                 .host = r.host,
                                                 .held = m.amount,
                                                 .bound = r.bound,
                                                 .token = key_of(r)});
    ++counts.reservations;
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::use_token(const Movement& m, const Reservation& r) {
    const auto key = key_of(r);
    auto* use = tokens_.find(key);
    if (use != nullptr && !(use->session && r.token_session))
        return Problem{Invariant::token_once, "its token's id was used before"};
    if (Time{std::chrono::seconds{r.token_exp}} <= m.at)
        return Problem{Invariant::token_life, "its token had expired"};
    if (with_tokens_ && (use == nullptr || use->proven != r.token)) {
        if (auto problem = check_token(r)) return problem;
    }
    if (use == nullptr) use = &tokens_.add(key, r.token_session);
    if (with_tokens_ && r.token_session) use->proven = r.token;
    if (r.token_max && !fits(*r.token_max, use->spent, use->reserved, m.amount)) {
        return Problem{Invariant::session_max,
                       beyond("its token may spend", *r.token_max, use->spent, use->reserved, m.amount)};
    }
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::check_held(const Movement& m, const Reservation& r) const {
    if (m.amount > r.bound)
        return Problem{Invariant::held_amount, "it holds more than the most that it can cost"};
    if (m.amount == r.bound) return std::nullopt;
    const auto exposed = balances.exposed.plus(r.bound.minus(m.amount).value_or(Usdc{}));
    if (!exposed || *exposed > r.overrun_limit) {
        return Problem{Invariant::overrun_limit,
                       "the open reservations may cost " +
                           (exposed ? exposed->to_string() : std::string{"too much"}) +
                           " USDC more than they hold, and the limit is " + r.overrun_limit.to_string()};
    }
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::check_caps(const Movement& m, const Reservation& r) {
    if (!fits(balances.balance, {}, balances.reserved, m.amount)) {
        return Problem{Invariant::wallet, "the wallet has " + balances.balance.to_string() +
                                              " USDC, of which " + balances.reserved.to_string() +
                                              " are held, and this one holds " + m.amount.to_string()};
    }
    if (r.total_cap && !fits(*r.total_cap, balances.spent, balances.reserved, m.amount)) {
        return Problem{Invariant::total_cap,
                       beyond("the total cap is", *r.total_cap, balances.spent, balances.reserved, m.amount)};
    }
    const auto& today = days[m.day];
    if (r.daily_cap && !fits(*r.daily_cap, today.spent, today.reserved, m.amount)) {
        return Problem{Invariant::daily_cap,
                       beyond("the daily cap is", *r.daily_cap, today.spent, today.reserved, m.amount)};
    }
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::end(const Movement& m, const EndingLine& e) {
    const auto found = m.transaction ? open.find(*m.transaction) : open.end();
    if (found == open.end())
        return Problem{Invariant::ends_once, "it ends what is not open: it had ended before, or never was"};
    const auto& r = found->second;
    if (e.reservation_day != r.day) return Problem{Invariant::day, "its reservation counts on another day"};
    const bool settle = m.kind == Kind::settle;
    if (settle != e.settled || m.debit != audit::held || m.credit != (settle ? provider(r.host) : wallet))
        return Problem{Invariant::accounts, "these are not the accounts of this ending"};
    if (m.amount != (settle ? std::min(e.cost, r.held) : r.held))
        return Problem{Invariant::cost, "it moves another amount than what it cost or gives back"};
    if (!settle && !e.cost.is_zero())
        return Problem{Invariant::cost, "what is given back has cost something"};
    if (settle && e.unknown && e.cost < r.held)
        return Problem{Invariant::cost, "it is settled as unknown for less than was held"};
    if (e.overrun != (e.cost > r.held))
        return Problem{Invariant::cost, e.overrun
                                            ? "it is marked as an overrun and is none"
                                            : "it cost more than was held and is not marked as an overrun"};
    if (auto problem = check_charge(e.basis, e.cost)) return problem;

    move(m);
    book_ending(r, e.cost);
    if (settle && e.cost < r.held) {
        expected_ = Expected{Kind::release, std::string{audit::held}, std::string{wallet},
                             r.held.minus(e.cost).value_or(Usdc{}), r.transaction};
    } else if (e.cost > r.held) {
        expected_ = Expected{Kind::settle, std::string{wallet}, provider(r.host),
                             e.cost.minus(r.held).value_or(Usdc{}), r.transaction};
    }
    if (settle && e.reason == expired_reason) {
        expired_.insert_or_assign(r.transaction, ExpiredReservation{.transaction = r.transaction,
                                                                    .day = r.day,
                                                                    .host = r.host,
                                                                    .booked = e.cost,
                                                                    .token = r.token});
    }
    open.erase(found);
    ++counts.endings;
    return std::nullopt;
}

Auditor::Replay::Found Auditor::Replay::check_charge(const std::optional<std::string>& basis,
                                                     Usdc cost) const {
    if (!basis || !recompute_) return std::nullopt;
    const auto computed = recompute_(*basis);
    if (!computed) return Problem{Invariant::charge, "how it was computed can't be followed"};
    if (*computed == cost) return std::nullopt;
    return Problem{Invariant::charge,
                   "it cost " + cost.to_string() + " USDC, and its basis leads to " + computed->to_string()};
}

void Auditor::Replay::book_ending(const OpenReservation& r, Usdc cost) {
    lower(balances.reserved, r.held);
    lower(balances.balance, cost);
    raise(balances.spent, cost);
    lower(balances.exposed, r.bound.minus(r.held).value_or(Usdc{}));
    auto& day = days[r.day];
    lower(day.reserved, r.held);
    raise(day.spent, cost);
    if (auto* const use = tokens_.find(r.token)) {
        lower(use->reserved, r.held);
        raise(use->spent, cost);
    }
}

Auditor::Replay::Found Auditor::Replay::correct(const Movement& m, const Correction& c) {
    const auto found = m.transaction ? expired_.find(*m.transaction) : expired_.end();
    if (found == expired_.end())
        return Problem{Invariant::correction, "it corrects what had not expired, or was corrected before"};
    const auto& r = found->second;
    if (c.reservation_day != r.day) return Problem{Invariant::day, "its reservation counts on another day"};
    const bool cheaper = c.cost < r.booked;
    const auto difference = cheaper ? r.booked.minus(c.cost) : c.cost.minus(r.booked);
    if (!difference || difference->is_zero() || m.amount != *difference)
        return Problem{Invariant::correction,
                       "it moves another amount than the difference to what was booked"};
    const auto account = provider(r.host);
    if (m.debit != (cheaper ? account : wallet) || m.credit != (cheaper ? std::string{wallet} : account))
        return Problem{Invariant::accounts, "these are not the accounts of this correction"};

    if (auto problem = check_charge(c.basis, c.cost)) return problem;

    move(m);
    auto* const use = tokens_.find(r.token);
    const auto change = [&](Usdc& spent) {
        if (cheaper) {
            lower(spent, m.amount);
        } else {
            raise(spent, m.amount);
        }
    };
    change(balances.spent);
    change(days[r.day].spent);
    if (use != nullptr) change(use->spent);
    if (cheaper) {
        raise(balances.balance, m.amount);
    } else {
        lower(balances.balance, m.amount);
    }
    expired_.erase(found);
    ++counts.corrections;
    return std::nullopt;
}

}  // namespace nomiqon::audit
