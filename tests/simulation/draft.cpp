#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

#include "chain_line.h"
#include "model_ledger.h"

namespace nomiqon::simulation {
namespace {

// Sums of two amounts may not fit in 64 bits.
__extension__ using Wide = __int128;

constexpr std::int64_t longest_token_seconds = 2 * 86'400;

Hash sha256(const Hash& previous, std::string_view line) {
    struct Digest {
        EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        ~Digest() {
            EVP_MD_CTX_free(context);
            EVP_MD_free(md);
        }
    };
    static const Digest digest;
    Hash hash{};
    if (EVP_DigestInit_ex2(digest.context, digest.md, nullptr) != 1 ||
        EVP_DigestUpdate(digest.context, previous.data(), previous.size()) != 1 ||
        EVP_DigestUpdate(digest.context, line.data(), line.size()) != 1 ||
        EVP_DigestFinal_ex(digest.context, hash.data(), nullptr) != 1) {
        throw std::runtime_error{"SHA-256 failed"};
    }
    return hash;
}

bool is_402(RefusalCode code) {
    return info(code).status == 402;
}

// One limit of money: what is spent of it, what is held of it, and what the two refusals are called.
struct Limit {
    std::string_view name;
    Cap limit;
    std::int64_t spent, reserved;
    Wide wanted;
    RefusalCode gone, held;
    std::optional<Time> resets_at{};
};

ledger::ReserveRefused refused_by(const Limit& limit, RefusalCode code) {
    return {code, CapState{.cap = std::string{limit.name},
                           .limit = Usdc::from_nanos(*limit.limit),
                           .spent = Usdc::from_nanos(limit.spent),
                           .reserved = Usdc::from_nanos(limit.reserved),
                           .resets_at = limit.resets_at}};
}

}  // namespace

Draft::Draft(const std::string& id, const Account& base, Fault fault)
    : id_(id), base_(&base), fault_(fault), agent_(base.agent), wallet_(base.wallet) {}

// Reading: what this transaction has written, else what was there.

// The row of a session token that can still be spent from; the row of an expired one may be gone.
TokenRow* Draft::session(const ReservationRow& held, Time now) {
    if (!held.token_session || held.token_exp <= unix_seconds(now)) return nullptr;
    return token(token_key(held.caid, held.token_exp, held.token_id));
}

DayRow& Draft::day(Day day) {
    const auto known = base_->days.find(day);
    return days_.try_emplace(day, known == base_->days.end() ? DayRow{} : known->second).first->second;
}

TokenRow* Draft::token(const std::string& key) {
    if (const auto changed = tokens_.find(key); changed != tokens_.end()) return &changed->second;
    const auto known = base_->tokens.find(key);
    return known == base_->tokens.end() ? nullptr : &tokens_.emplace(key, known->second).first->second;
}

const ReservationRow* Draft::reservation(const std::string& transaction) const {
    if (const auto added = reservations_.find(transaction); added != reservations_.end())
        return &added->second;
    const auto known = base_->reservations.find(transaction);
    return known == base_->reservations.end() ? nullptr : &known->second;
}

const EndingRow* Draft::ending(const std::string& transaction) const {
    if (const auto added = endings_.find(transaction); added != endings_.end()) return &added->second;
    const auto known = base_->endings.find(transaction);
    return known == base_->endings.end() ? nullptr : &known->second;
}

bool Draft::is_corrected(const std::string& transaction) const {
    return corrections_.contains(transaction) || base_->corrections.contains(transaction);
}

// A request.

ledger::ReserveAnswer Draft::reserve(const std::string& gateway, const ledger::ReserveCommand& request,
                                     Time now) {
    const std::string key = token_key(request.caid.str(), request.token_exp, request.jti);
    const TokenRow* known = token(key);
    if (const auto code = refusal(request, known, now)) return ledger::ReserveRefused{*code, std::nullopt};
    if (request.policy_version != agent_.policy_version) {
        return ledger::StalePolicy{{request.agent, agent_.policy_version, agent_.policy.document}};
    }
    if (request.decision) return ledger::ReserveRefused{*request.decision, std::nullopt};

    const std::int64_t amount = amount_to_hold(request);
    if (auto refused = money_refusal(request, known, amount, now)) {
        if (is_402(refused->code) && !request.session && fault_ != Fault::refusal_burns_nothing) {
            tokens_.try_emplace(key, TokenRow{.session = false, .exp = request.token_exp});
        }
        return *std::move(refused);
    }
    tokens_.try_emplace(key, TokenRow{.session = request.session, .exp = request.token_exp});
    hold({.day = day_of(now),
          .transaction = request.transaction.str(),
          .request = request.request.str(),
          .gateway = gateway,
          .caid = request.caid.str(),
          .policy_version = agent_.policy_version,
          .amount = amount,
          .bound = request.amount.nanos(),
          .overrun_limit = request.overrun_limit.nanos(),
          .daily_cap = agent_.policy.daily_cap,
          .total_cap = agent_.policy.total_cap,
          .token_max = request.token_max ? Cap{request.token_max->nanos()} : Cap{},
          .scheme = request.scheme,
          .host = request.host,
          .port = request.port,
          .method = request.method,
          .model = request.model,
          .ref = request.ref,
          .token_id = request.jti,
          .token_exp = request.token_exp,
          .token_session = request.session,
          .token = request.token,
          .created_at = now},
         now);
    return ledger::Reserved{request.transaction, request.agent, day_of(now), Usdc::from_nanos(amount)};
}

// What is looked at before the policy's version.
std::optional<RefusalCode> Draft::refusal(const ledger::ReserveCommand& request, const TokenRow* token,
                                          Time now) const {
    const auto caid = agent_.caids.find(request.caid.str());
    const std::int64_t seconds = unix_seconds(now);
    if (caid == agent_.caids.end()) return RefusalCode::spend_token_invalid;
    if (request.token_exp <= seconds) return RefusalCode::spend_token_expired;
    if (request.token_exp > seconds + longest_token_seconds) return RefusalCode::spend_token_invalid;
    if (token != nullptr && !(token->session && request.session)) return RefusalCode::spend_token_replayed;
    if (agent_.status == Status::terminated) return RefusalCode::agent_terminated;
    if (agent_.status == Status::paused) return RefusalCode::agent_paused;
    if (!caid->second) return RefusalCode::identity_revoked;
    if (agent_.policy.frozen) return RefusalCode::agent_frozen;
    return std::nullopt;
}

std::int64_t Draft::amount_to_hold(const ledger::ReserveCommand& request) const {
    const std::int64_t bound = request.amount.nanos();
    if (!request.typical) return bound;
    const std::int64_t room = request.overrun_limit.nanos() - wallet_.exposed;
    if (room < 0) return bound;
    return std::min(bound, std::max(request.typical->nanos(), bound - room));
}

std::optional<ledger::ReserveRefused> Draft::money_refusal(const ledger::ReserveCommand& request,
                                                           const TokenRow* token, std::int64_t held,
                                                           Time now) {
    using enum RefusalCode;
    const Day today = day_of(now);
    const DayRow spent_today = day(today);
    const Policy& policy = agent_.policy;
    const std::array limits{
        Limit{"token", request.token_max ? Cap{request.token_max->nanos()} : Cap{},
              token == nullptr ? 0 : token->spent, token == nullptr ? 0 : token->reserved, held,
              spend_token_exhausted, spend_token_reserved},
        Limit{"request", policy.max_per_request, 0, 0, request.amount.nanos(), request_limit_exceeded,
              request_limit_exceeded},
        Limit{"total", policy.total_cap, wallet_.spent, wallet_.reserved, held, policy_cap_exceeded,
              policy_cap_reserved},
        Limit{"daily", policy.daily_cap, spent_today.spent, spent_today.reserved, held, policy_cap_exceeded,
              policy_cap_reserved, Time{today + std::chrono::days{1}}},
        Limit{"balance", fault_ == Fault::wallet_unchecked ? Cap{} : Cap{wallet_.balance}, 0,
              wallet_.reserved, held, insufficient_balance, balance_reserved}};
    for (const Limit& limit : limits) {
        if (limit.limit && limit.spent + limit.wanted > *limit.limit) return refused_by(limit, limit.gone);
    }
    for (const Limit& limit : limits) {
        if (limit.limit && limit.spent + limit.reserved + limit.wanted > *limit.limit)
            return refused_by(limit, limit.held);
    }
    return std::nullopt;
}

void Draft::hold(ReservationRow row, Time now) {
    wallet_.reserved += row.amount;
    wallet_.exposed += row.bound - row.amount;
    day(row.day).reserved += row.amount;
    if (TokenRow* used = session(row, now)) used->reserved += row.amount;
    ChainLine more;
    more.text(row.request).text(row.gateway).text(row.caid).number(row.policy_version).number(row.bound);
    more.number(row.overrun_limit).number_or_null(row.daily_cap).number_or_null(row.total_cap);
    more.number_or_null(row.token_max).text(row.scheme).text(row.host).number(row.port).text(row.method);
    more.text_or_null(row.model).text_or_null(row.ref).text(row.token_id).number(row.token_exp);
    more.boolean(row.token_session).text(row.token);
    move({.kind = "reserve",
          .debit = "wallet",
          .credit = "held",
          .amount = row.amount,
          .transaction = row.transaction},
         now, more.members());
    reservations_.emplace(row.transaction, std::move(row));
}

// An ending.

EndOutcome Draft::end(const ledger::EndCommand& command, Time now) {
    const std::string& id = command.transaction.str();
    const ReservationRow* held = reservation(id);
    if (held == nullptr || (command.day != Day{} && command.day != held->day)) return EndOutcome::not_found;
    const bool settled = command.ending == ledger::Ending::settled;
    if (const EndingRow* before = ending(id)) {
        const bool knows_better = !(settled && command.unknown);
        if (before->reason == "expired" && knows_better && !is_corrected(id))
            return correct(*held, *before, command, now);
        if (fault_ != Fault::settlement_repeats) return EndOutcome::already_ended;
    }

    std::int64_t cost = 0;
    if (settled) cost = command.amount.nanos();
    if (settled && command.unknown) cost = std::max(cost, held->bound);
    const EndingRow row{.settled = settled,
                        .amount = cost,
                        .unknown = settled && command.unknown,
                        .overrun = cost > held->amount,
                        .reason = command.reason,
                        .model = command.model,
                        .basis = command.basis};
    endings_.insert_or_assign(id, row);
    wallet_.reserved -= held->amount;
    wallet_.exposed -= held->bound - held->amount;
    const Day on = fault_ == Fault::wrong_day ? day_of(now) : held->day;
    day(on).reserved -= held->amount;
    if (TokenRow* used = session(*held, now)) used->reserved -= held->amount;
    book(*held, cost, on, now);

    ChainLine more;
    more.text(settled ? "settled" : "released").number(cost).boolean(row.unknown).boolean(row.overrun);
    more.text_or_null(row.reason).text_or_null(row.model).text_or_null(row.basis);
    more.text(format_day(held->day));
    const std::string provider = "provider:" + held->host;
    if (!settled) {
        move({.kind = "release",
              .debit = "held",
              .credit = "wallet",
              .amount = held->amount,
              .transaction = id},
             now, more.members());
    } else {
        move({.kind = "settle",
              .debit = "held",
              .credit = provider,
              .amount = std::min(cost, held->amount),
              .transaction = id},
             now, more.members());
        if (cost < held->amount) {
            move({.kind = "release",
                  .debit = "held",
                  .credit = "wallet",
                  .amount = held->amount - cost,
                  .transaction = id},
                 now);
        } else if (cost > held->amount) {
            move({.kind = "settle",
                  .debit = "wallet",
                  .credit = provider,
                  .amount = cost - held->amount,
                  .transaction = id},
                 now);
        }
    }
    return_funds(now);
    return EndOutcome::ended;
}

// The true cost of what expired and was settled in full.
EndOutcome Draft::correct(const ReservationRow& held, const EndingRow& expired,
                          const ledger::EndCommand& command, Time now) {
    const std::int64_t cost = command.ending == ledger::Ending::settled ? command.amount.nanos() : 0;
    const std::int64_t cheaper = expired.amount - cost;
    if (cheaper == 0) return EndOutcome::already_ended;
    corrections_.emplace(held.transaction, CorrectionRow{cost, command.reason, command.model, command.basis});
    book(held, -cheaper, fault_ == Fault::wrong_day ? day_of(now) : held.day, now);
    const std::string provider = "provider:" + held.host;
    ChainLine more;
    more.number(cost).text_or_null(command.reason).text_or_null(command.model);
    more.text_or_null(command.basis).text(format_day(held.day));
    move({.kind = "correct",
          .debit = cheaper > 0 ? std::string_view{provider} : "wallet",
          .credit = cheaper > 0 ? "wallet" : std::string_view{provider},
          .amount = std::abs(cheaper),
          .transaction = held.transaction},
         now, more.members());
    return_funds(now);
    return EndOutcome::corrected;
}

// Spends `cost` of the wallet, of the day, and of the session.
void Draft::book(const ReservationRow& held, std::int64_t cost, Day on, Time now) {
    wallet_.balance -= cost;
    wallet_.spent += cost;
    day(on).spent += cost;
    if (TokenRow* used = session(held, now)) used->spent += cost;
}

// Money that comes and goes.

void Draft::fund(std::int64_t amount, const std::string& reference, Time now) {
    wallet_.balance += amount;
    funding_.emplace(reference, amount);
    move({.kind = "fund", .debit = "treasury", .credit = "wallet", .amount = amount, .reference = reference},
         now);
}

void Draft::adjust(std::int64_t amount, const std::string& reason, Time now) {
    wallet_.balance += amount;
    move({.kind = "adjust",
          .debit = amount > 0 ? "treasury" : "wallet",
          .credit = amount > 0 ? "wallet" : "treasury",
          .amount = std::abs(amount),
          .reference = reason},
         now);
}

void Draft::terminate(Time now) {
    agent_.status = Status::terminated;
    return_funds(now);
}

// What a terminated agent has left goes back once nothing is held.
void Draft::return_funds(Time now) {
    if (agent_.status != Status::terminated || wallet_.reserved != 0 || wallet_.balance <= 0) return;
    const std::int64_t left = wallet_.balance;
    wallet_.balance = 0;
    move({.kind = "return", .debit = "wallet", .credit = "treasury", .amount = left}, now);
}

// The next line of the chain.
void Draft::move(const Movement& movement, Time now, std::string_view more) {
    const std::int64_t seq = ++wallet_.chain_seq;
    ChainLine line;
    line.text(movement.kind).number(seq).text(id_).text(format_day(day_of(now)));
    line.number(now.time_since_epoch().count())
        .text(movement.debit)
        .text(movement.credit)
        .number(movement.amount);
    line.text_or_null(movement.transaction).text_or_null(movement.reference).members(more);
    std::string array = line.array();
    const Hash hash = sha256(wallet_.chain_hash, array);
    if (fault_ != Fault::chain_stuck) wallet_.chain_hash = hash;
    transfers_.push_back({.seq = seq,
                          .day = day_of(now),
                          .kind = std::string{movement.kind},
                          .debit = std::string{movement.debit},
                          .credit = std::string{movement.credit},
                          .amount = movement.amount,
                          .transaction = std::string{movement.transaction},
                          .reference = std::string{movement.reference},
                          .created_at = now,
                          .hash = hash,
                          .line = std::move(array)});
}

}  // namespace nomiqon::simulation
