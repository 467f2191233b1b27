#include "model_ledger.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace nomiqon::simulation {

using ledger::EndCommand;
using ledger::ReserveCommand;
using ledger::ReserveRefused;

namespace {

// Of one that has passed the lease's check.
constexpr std::chrono::minutes longest_transaction{1};

}  // namespace

std::string token_key(const std::string& caid, std::int64_t exp, const std::string& jti) {
    return caid + '/' + std::to_string(exp) + '/' + jti;
}

std::string_view name_of(EndOutcome outcome) {
    switch (outcome) {
        case EndOutcome::ended:
            return "ended";
        case EndOutcome::already_ended:
            return "already_ended";
        case EndOutcome::not_found:
            return "not_found";
        case EndOutcome::corrected:
            return "corrected";
    }
    std::unreachable();
}

ModelLedger::ModelLedger(Fault fault) : fault_(fault) {}
ModelLedger::~ModelLedger() = default;

Account* ModelLedger::find(const std::string& agent) {
    const auto found = accounts_.find(agent);
    return found == accounts_.end() ? nullptr : &found->second;
}

// Locks and writes.

bool ModelLedger::lock(const std::set<std::string>& agents) {
    if (fault_ == Fault::lock_left_out) return true;
    for (const std::string& agent : agents) {
        if (locked_.contains(agent)) return false;
    }
    locked_.insert(agents.begin(), agents.end());
    return true;
}

void ModelLedger::unlock(const std::set<std::string>& agents) {
    for (const std::string& agent : agents)
        locked_.erase(agent);
}

void ModelLedger::write(Account& account, Draft draft) {
    account.agent = std::move(draft.agent_);
    account.wallet = draft.wallet_;
    for (auto& [day, row] : draft.days_)
        account.days.insert_or_assign(day, row);
    for (auto& [key, row] : draft.tokens_)
        account.tokens.insert_or_assign(key, row);
    for (auto& [id, row] : draft.reservations_) {
        account.open.insert(id);
        account.reservations.insert_or_assign(id, std::move(row));
    }
    for (auto& [id, row] : draft.endings_) {
        account.open.erase(id);
        account.endings.insert_or_assign(id, std::move(row));
    }
    for (auto& [id, row] : draft.corrections_)
        account.corrections.insert_or_assign(id, std::move(row));
    account.funding.merge(draft.funding_);
    for (TransferRow& row : draft.transfers_)
        account.transfers.push_back(std::move(row));
}

// The hot path.

std::expected<ModelLedger::Transaction, ModelLedger::NotYet> ModelLedger::prepare(const Work& work,
                                                                                  Time now) {
    if (!work.requests.empty()) {
        const auto gateway = gateways_.find(work.gateway);
        if (gateway == gateways_.end() || gateway->second.lease_until <= now)
            return std::unexpected{NotYet::lease_lapsed};
    }
    Transaction transaction;
    for (const EndCommand& ending : work.endings)
        transaction.agents_.insert(ending.agent.str());
    for (const ReserveCommand& request : work.requests)
        transaction.agents_.insert(request.agent.str());
    if (!lock(transaction.agents_)) return std::unexpected{NotYet::locked};

    auto& drafts = transaction.drafts_;
    for (const std::string& agent : transaction.agents_) {
        if (const Account* account = find(agent)) drafts.try_emplace(agent, agent, *account, fault_);
    }
    // Endings day by day, as far as they know theirs or their reservation does.
    std::vector<std::pair<Day, std::size_t>> order;
    for (std::size_t i = 0; i < work.endings.size(); ++i) {
        const EndCommand& ending = work.endings[i];
        const auto draft = drafts.find(ending.agent.str());
        const ReservationRow* held =
            draft == drafts.end() ? nullptr : draft->second.reservation(ending.transaction.str());
        order.emplace_back(held == nullptr ? Day{} : held->day, i);
    }
    std::ranges::sort(order);
    transaction.answers_.endings.assign(work.endings.size(), EndOutcome::not_found);
    for (const auto& [day, i] : order) {
        if (const auto draft = drafts.find(work.endings[i].agent.str()); draft != drafts.end())
            transaction.answers_.endings[i] = draft->second.end(work.endings[i], now);
    }
    for (const ReserveCommand& request : work.requests) {
        const auto draft = drafts.find(request.agent.str());
        transaction.answers_.requests.push_back(
            draft == drafts.end() ? ReserveRefused{RefusalCode::spend_token_invalid, std::nullopt}
                                  : draft->second.reserve(work.gateway, request, now));
    }
    return transaction;
}

WorkAnswers ModelLedger::commit(Transaction transaction) {
    for (auto& [agent, draft] : transaction.drafts_)
        write(*find(agent), std::move(draft));
    unlock(transaction.agents_);
    return std::move(transaction.answers_);
}

void ModelLedger::abandon(const Transaction& transaction) {
    unlock(transaction.agents_);
}

std::expected<WorkAnswers, ModelLedger::NotYet> ModelLedger::work(const Work& work, Time now) {
    auto transaction = prepare(work, now);
    if (!transaction) return std::unexpected{transaction.error()};
    return commit(*std::move(transaction));
}

// Leases.

bool ModelLedger::renew_lease(const std::string& gateway, Time until) {
    GatewayRow& row = gateways_[gateway];
    if (!row.gone_at) row.lease_until = until;
    return !row.gone_at;
}

void ModelLedger::end_lease(const std::string& gateway, Time now) {
    GatewayRow& row = gateways_[gateway];
    if (row.gone_at) return;
    row.lease_until = std::min(row.lease_until, now);
    row.gone_at = now;
}

int ModelLedger::expire(Time now) {
    int count = 0;
    for (auto& [id, gateway] : gateways_) {
        if (!gateway.gone_at && gateway.lease_until <= now) gateway.gone_at = now;
        if (!gateway.gone_at || gateway.swept) continue;
        // What was reserved while the lease still held may be committed a little later.
        gateway.swept = sweep(id, now, count) && *gateway.gone_at + longest_transaction <= now;
    }
    return count;
}

// False: some agent was locked.
bool ModelLedger::sweep(const std::string& gateway, Time now, int& count) {
    bool all = true;
    for (auto& [agent, account] : accounts_) {
        std::vector<std::pair<Day, std::string>> open;
        for (const std::string& transaction : account.open) {
            const ReservationRow& held = account.reservations.at(transaction);
            if (held.gateway == gateway) open.emplace_back(held.day, transaction);
        }
        if (open.empty()) continue;
        if (is_locked(agent)) {
            all = false;
            continue;
        }
        std::ranges::sort(open);
        Draft draft{agent, account, fault_};
        for (const auto& [day, transaction] : open) {
            draft.end({.transaction = *TransactionId::parse(transaction),
                       .agent = *AgentId::parse(agent),
                       .day = day,
                       .ending = ledger::Ending::settled,
                       .amount = {},
                       .unknown = true,
                       .reason = "expired",
                       .model = {}},
                      now);
            ++count;
        }
        write(account, std::move(draft));
    }
    return all;
}

// A day's tokens are forgotten an hour after its last second.
void ModelLedger::forget_tokens(Time now) {
    for (auto& [agent, account] : accounts_) {
        std::erase_if(account.tokens, [now](const auto& token) {
            const Day day = day_of(Time{std::chrono::seconds{token.second.exp}});
            return day + std::chrono::days{1} + std::chrono::hours{1} <= now;
        });
    }
}

// Administration.

void ModelLedger::create_agent(const std::string& agent, const std::string& caid, const Policy& policy) {
    Account& account = accounts_[agent];
    account.agent.policy = policy;
    account.agent.caids.emplace(caid, true);
    caid_owners_.emplace(caid, agent);
}

Done ModelLedger::add_caid(const std::string& agent, const std::string& caid) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    if (account->agent.status == Status::terminated || !caid_owners_.emplace(caid, agent).second)
        return std::unexpected{Refused::conflict};
    account->agent.caids.emplace(caid, true);
    return {};
}

Done ModelLedger::revoke_caid(const std::string& agent, const std::string& caid) {
    Account* account = find(agent);
    if (account == nullptr || !account->agent.caids.contains(caid))
        return std::unexpected{Refused::not_found};
    account->agent.caids[caid] = false;
    return {};
}

Done ModelLedger::set_policy(const std::string& agent, const Policy& policy) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    if (account->agent.status == Status::terminated) return std::unexpected{Refused::conflict};
    Policy& current = account->agent.policy;
    const auto terms = [](const Policy& p) {
        return std::tie(p.daily_cap, p.total_cap, p.max_per_request, p.frozen);
    };
    if (terms(current) != terms(policy)) ++account->agent.policy_version;
    current = policy;
    return {};
}

Done ModelLedger::set_paused(const std::string& agent, bool paused) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    if (account->agent.status == Status::terminated) return std::unexpected{Refused::conflict};
    account->agent.status = paused ? Status::paused : Status::active;
    return {};
}

Done ModelLedger::terminate(const std::string& agent, Time now) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    Draft draft{agent, *account, fault_};
    draft.terminate(now);
    write(*account, std::move(draft));
    return {};
}

Done ModelLedger::fund(const std::string& agent, std::int64_t amount, const std::string& reference,
                       Time now) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    if (const auto before = account->funding.find(reference); before != account->funding.end()) {
        return before->second == amount ? Done{} : std::unexpected{Refused::conflict};
    }
    if (account->agent.status == Status::terminated) return std::unexpected{Refused::conflict};
    if (account->wallet.balance > std::numeric_limits<std::int64_t>::max() - amount)
        return std::unexpected{Refused::invalid};
    Draft draft{agent, *account, fault_};
    draft.fund(amount, reference, now);
    write(*account, std::move(draft));
    return {};
}

Done ModelLedger::adjust(const std::string& agent, std::int64_t amount, const std::string& reason, Time now) {
    Account* account = find(agent);
    if (account == nullptr) return std::unexpected{Refused::not_found};
    if (account->agent.status == Status::terminated) return std::unexpected{Refused::conflict};
    if (amount > 0 && account->wallet.balance > std::numeric_limits<std::int64_t>::max() - amount)
        return std::unexpected{Refused::invalid};
    if (amount < 0 && -amount > account->wallet.balance - account->wallet.reserved)
        return std::unexpected{Refused::conflict};
    Draft draft{agent, *account, fault_};
    draft.adjust(amount, reason, now);
    write(*account, std::move(draft));
    return {};
}

// Reading.

std::optional<ledger::AgentSnapshot> ModelLedger::find_agent(const std::string& caid) const {
    const auto owner = caid_owners_.find(caid);
    if (owner == caid_owners_.end()) return std::nullopt;
    const AgentRow& agent = accounts_.at(owner->second).agent;
    return ledger::AgentSnapshot{*AgentId::parse(owner->second), agent.policy_version, agent.policy.document};
}

bool ModelLedger::is_token_used(const std::string& agent, const std::string& caid, std::int64_t exp,
                                const std::string& jti) const {
    const auto account = accounts_.find(agent);
    if (account == accounts_.end()) return false;
    const auto token = account->second.tokens.find(token_key(caid, exp, jti));
    return token != account->second.tokens.end() && !token->second.session;
}

}  // namespace nomiqon::simulation
