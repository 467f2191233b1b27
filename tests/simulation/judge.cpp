#include "judge.h"

#include <sodium.h>

#include "written_line.h"

namespace nomiqon::simulation {

// Throws away a case with the reason. An exception, since whatever comes after the first contradiction means
// nothing.
struct Judge::Says {
    struct Contradiction {
        std::string what;
    };
    std::string where;
    [[noreturn]] void no(const std::string& what) const { throw Contradiction{where + ": " + what}; }
    void that(bool holds, const std::string& what) const {
        if (!holds) no(what);
    }
    void equal(std::int64_t stored, std::int64_t sum, std::string_view what) const {
        if (stored != sum) {
            no(std::string{what} + " is stored as " + std::to_string(stored) + " and adds up to " +
               std::to_string(sum));
        }
    }
};

void Judge::look_at(const std::map<std::string, Account>& accounts) {
    for (const auto& [agent, account] : accounts) {
        Case& at = cases_[agent];
        if (at.closed) continue;
        try {
            replay(agent, account, at);
        } catch (const Says::Contradiction& contradiction) {
            findings_.push_back(contradiction.what);
            at.closed = true;
        }
    }
}

void Judge::replay(const std::string& agent, const Account& account, Case& at) {
    for (; at.next < account.transfers.size(); ++at.next) {
        const TransferRow& row = account.transfers[at.next];
        line({agent + " transfer " + std::to_string(at.next + 1)}, account, row, at);
        ++lines_;
    }
    const Says says{agent};
    says.that(!at.rest, "the rest of an ending is missing");
    compare(says, account, at);
}

// Lines -----------------------------------------------------------------------------------------------------

void Judge::line(const Says& says, const Account& account, const TransferRow& row, Case& at) {
    says.equal(row.seq, static_cast<std::int64_t>(at.next) + 1, "its number");
    says.that(row.day == day_of(row.created_at), "its day is not the day of its time");
    says.that(row.created_at >= at.last, "it is older than the one before");
    says.that(row.amount >= 0, "its amount is below zero");
    at.last = row.created_at;

    const std::string text = written_line(says.where.substr(0, says.where.find(' ')), account, row, !at.rest);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, at.hash.data(), at.hash.size());
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    crypto_hash_sha256_final(&state, at.hash.data());
    says.that(at.hash == row.hash, "its hash does not follow from the one before and its line");

    if (at.rest) return second_line(says, row, at);
    if (row.kind == "reserve") return reserve(says, account, row, at);
    if (row.kind == "settle" || row.kind == "release") return end(says, account, row, at);
    if (row.kind == "correct") return correct(says, account, row, at);
    const bool into = row.debit == "treasury" && row.credit == "wallet";
    const bool out = row.debit == "wallet" && row.credit == "treasury";
    says.that(row.kind == "fund"     ? into
              : row.kind == "return" ? out
                                     : row.kind == "adjust" && (into || out),
              "its kind and its accounts don't fit");
    at.wallet += into ? row.amount : -row.amount;
    says.that(into || at.wallet >= 0, "it takes more than the wallet has");
}

void Judge::reserve(const Says& says, const Account& account, const TransferRow& row, Case& at) {
    const auto found = account.reservations.find(row.transaction);
    says.that(found != account.reservations.end(), "there is no such reservation");
    const ReservationRow& held = found->second;
    says.that(row.debit == "wallet" && row.credit == "held" && row.amount == held.amount,
              "it is not what the reservation says");
    says.that(held.day == row.day, "it was not reserved on its day");
    says.that(held.amount <= held.bound, "more is held than its bound");

    const std::string key = held.caid + '/' + std::to_string(held.token_exp) + '/' + held.token_id;
    says.that(held.token_exp > unix_seconds(row.created_at), "its token had expired");
    if (!held.token_session)
        says.that(at.used.emplace(key, row.transaction).second, "its token was used before");
    says.that(at.lives
                  .emplace(row.transaction, Life{.day = held.day,
                                                 .held = held.amount,
                                                 .bound = held.bound,
                                                 .session = held.token_session ? key : std::string{}})
                  .second,
              "its transaction was reserved before");
    ++at.open;
    at.wallet -= held.amount;
    at.held += held.amount;
    at.exposed += held.bound - held.amount;
    Sums& day = at.days[held.day];
    day.reserved += held.amount;

    says.that(at.wallet >= 0, "the wallet can't pay for it");
    says.that(!held.daily_cap || day.spent + day.reserved <= *held.daily_cap, "it is above the day's cap");
    says.that(!held.total_cap || at.spent + at.held <= *held.total_cap, "it is above the total cap");
    says.that(held.amount == held.bound || at.exposed <= held.overrun_limit, "it is above the overrun limit");
    if (held.token_session) {
        Session& session = at.tokens[key];
        session.exp = held.token_exp;
        session.reserved += held.amount;
        says.that(!held.token_max || session.spent + session.reserved <= *held.token_max,
                  "the session is above its max");
    } else {
        says.that(!held.token_max || held.amount <= *held.token_max, "it is above its token's max");
    }
}

void Judge::end(const Says& says, const Account& account, const TransferRow& row, Case& at) {
    const auto life = at.lives.find(row.transaction);
    const auto found = account.endings.find(row.transaction);
    says.that(life != at.lives.end() && found != account.endings.end(),
              "there is no such reservation or ending");
    Life& held = life->second;
    const EndingRow& ending = found->second;
    says.that(!held.ended, "its reservation ended before");
    held.ended = true;
    held.expired = ending.reason == "expired";
    held.booked = ending.amount;
    --at.open;

    const std::string provider = "provider:" + account.reservations.at(row.transaction).host;
    says.that(ending.settled || ending.amount == 0, "a release costs something");
    says.that(!ending.unknown || ending.amount >= held.bound, "what is unknown was not settled in full");
    says.that(ending.overrun == (ending.amount > held.held), "its overrun is not marked");
    says.that(row.kind == (ending.settled ? "settle" : "release") && row.debit == "held" &&
                  row.credit == (ending.settled ? provider : "wallet"),
              "it is not how the ending says");
    says.equal(row.amount, ending.settled ? std::min(ending.amount, held.held) : held.held, "its amount");
    if (ending.settled && ending.amount != held.held) {
        const bool less = ending.amount < held.held;
        at.rest = Rest{.kind = less ? "release" : "settle",
                       .debit = less ? "held" : "wallet",
                       .credit = less ? "wallet" : provider,
                       .amount = std::abs(ending.amount - held.held),
                       .transaction = row.transaction,
                       .at = row.created_at};
    }
    at.held -= row.amount;
    if (!ending.settled) at.wallet += row.amount;
    at.exposed -= held.bound - held.held;
    at.spent += ending.amount;
    at.days[held.day].reserved -= held.held;
    at.days[held.day].spent += ending.amount;
    if (!held.session.empty()) {
        at.tokens[held.session].reserved -= held.held;
        at.tokens[held.session].spent += ending.amount;
    }
}

void Judge::second_line(const Says& says, const TransferRow& row, Case& at) {
    const Rest& rest = *at.rest;
    says.that(row.kind == rest.kind && row.debit == rest.debit && row.credit == rest.credit &&
                  row.amount == rest.amount && row.transaction == rest.transaction &&
                  row.created_at == rest.at,
              "it is not the rest of the ending before");
    (row.debit == "held" ? at.held : at.wallet) -= row.amount;
    if (row.credit == "wallet") at.wallet += row.amount;
    at.rest.reset();
}

void Judge::correct(const Says& says, const Account& account, const TransferRow& row, Case& at) {
    const auto life = at.lives.find(row.transaction);
    const auto found = account.corrections.find(row.transaction);
    says.that(life != at.lives.end() && found != account.corrections.end(),
              "there is no such reservation or correction");
    Life& held = life->second;
    says.that(held.ended && held.expired && !held.corrected,
              "its reservation had not expired, or was corrected");
    held.corrected = true;
    const std::int64_t cheaper = held.booked - found->second.amount;
    const std::string provider = "provider:" + account.reservations.at(row.transaction).host;
    says.that(cheaper != 0 && row.debit == (cheaper > 0 ? provider : "wallet") &&
                  row.credit == (cheaper > 0 ? "wallet" : provider) && row.amount == std::abs(cheaper),
              "it is not the difference");
    at.wallet += cheaper;
    at.spent -= cheaper;
    at.days[held.day].spent -= cheaper;
    if (!held.session.empty()) at.tokens[held.session].spent -= cheaper;
}

// Sums ------------------------------------------------------------------------------------------------------

void Judge::compare(const Says& says, const Account& account, const Case& at) {
    const WalletRow& wallet = account.wallet;
    says.equal(wallet.balance, at.wallet + at.held, "the balance");
    says.equal(wallet.reserved, at.held, "what is reserved");
    says.equal(wallet.spent, at.spent, "what is spent");
    says.equal(wallet.exposed, at.exposed, "what is exposed");
    says.equal(wallet.chain_seq, static_cast<std::int64_t>(at.next), "the chain's length");
    says.that(wallet.chain_hash == at.hash, "the chain's head is another hash");
    says.equal(static_cast<std::int64_t>(account.reservations.size()),
               static_cast<std::int64_t>(at.lives.size()), "the number of reservations");
    says.equal(static_cast<std::int64_t>(account.reservations.size() - account.endings.size()),
               static_cast<std::int64_t>(at.open), "the number of open reservations");
    for (const auto& [day, row] : account.days) {
        const auto sums = at.days.find(day);
        says.equal(row.spent, sums == at.days.end() ? 0 : sums->second.spent, "spent on " + format_day(day));
        says.equal(row.reserved, sums == at.days.end() ? 0 : sums->second.reserved,
                   "reserved on " + format_day(day));
    }
    for (const auto& [day, sums] : at.days)
        says.that(account.days.contains(day), "there is no row for " + format_day(day));
    for (const auto& [key, sums] : at.tokens) {
        // What ends after a token has expired changes its row no more, and the row goes.
        const auto row = account.tokens.find(key);
        if (sums.exp <= unix_seconds(at.last)) continue;
        says.that(row != account.tokens.end() && row->second.session, "a session that was used is not known");
        says.equal(row->second.spent, sums.spent, "spent of a session");
        says.equal(row->second.reserved, sums.reserved, "reserved of a session");
    }
}

// What callers know -----------------------------------------------------------------------------------------

void Judge::hear_token_paid_or_402(const std::string& token, const std::string& transaction) {
    const auto [before, first] = paid_.emplace(token, transaction);
    if (!first) {
        findings_.push_back("token " + token + " was answered for " + before->second + " and again for " +
                            transaction);
    }
}

void Judge::close(const std::map<std::string, Account>& accounts) {
    look_at(accounts);
    for (const auto& [agent, account] : accounts) {
        if (!account.open.empty())
            findings_.push_back(agent + ": " + *account.open.begin() + " is held for ever");
        if (account.wallet.reserved != 0)
            findings_.push_back(agent + ": something is held, and nobody holds it");
        for (const auto& [day, row] : account.days) {
            if (row.reserved != 0) findings_.push_back(agent + ": something is held on " + format_day(day));
        }
    }
    for (const Promise& promise : promises_)
        check_promise(promise, accounts.at(promise.agent));
    promises_.clear();
}

void Judge::check_promise(const Promise& promise, const Account& account) {
    const auto says = [&](const std::string& what) { findings_.push_back(promise.transaction + " " + what); };
    const auto found = account.endings.find(promise.transaction);
    if (found == account.endings.end()) return says("was granted and has not ended");
    const EndingRow& ending = found->second;
    const auto correction = account.corrections.find(promise.transaction);
    if (ending.reason == "expired" && !promise.kept) return;
    if (ending.reason != "expired") {
        const std::int64_t least = promise.unknown ? promise.amount : 0;
        if (ending.settled != promise.settled || ending.unknown != promise.unknown ||
            (promise.unknown ? ending.amount < least : ending.amount != promise.amount))
            says("ended otherwise than its caller said");
        return;
    }
    if (promise.unknown) return;  // nobody knew better
    const std::int64_t final_cost =
        correction == account.corrections.end() ? ending.amount : correction->second.amount;
    if (final_cost != promise.amount) says("expired, and was not corrected to what its caller said");
}

}  // namespace nomiqon::simulation
