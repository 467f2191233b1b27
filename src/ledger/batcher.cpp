#include "batcher.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace nomiqon::ledger {
namespace {

bool is_only_held(const ReserveAnswer& answer) {
    const auto* refused = std::get_if<ReserveRefused>(&answer);
    return refused != nullptr && (refused->code == RefusalCode::policy_cap_reserved ||
                                  refused->code == RefusalCode::balance_reserved ||
                                  refused->code == RefusalCode::spend_token_reserved);
}

const AgentId& agent_of(const EndCommand& ending) {
    return ending.agent;
}
const AgentId& agent_of(const ReserveRequest& request) {
    return request.command.agent;
}

// Stable; std::stable_sort of this standard library warns of its own deprecated parts.
template <class Row>
void sort_by_agent(std::vector<Row>& rows) {
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t left, std::size_t right) {
        const auto by_agent = agent_of(rows[left]) <=> agent_of(rows[right]);
        return by_agent == 0 ? left < right : by_agent < 0;
    });
    std::vector<Row> sorted;
    sorted.reserve(rows.size());
    for (const std::size_t place : order)
        sorted.push_back(std::move(rows[place]));
    rows = std::move(sorted);
}

EndCommand release_of(const ReserveCommand& command, Day day) {
    return {.transaction = command.transaction,
            .agent = command.agent,
            .day = day,
            .ending = Ending::released,
            .amount = {},
            .unknown = false,
            .reason = std::string{info(RefusalCode::ledger_unavailable).name},
            .model = {}};
}

}  // namespace

void Batcher::submit(ReserveRequest request) {
    open_.insert(request.command.transaction);
    const std::string agent = request.command.agent.str();
    if (auto displaced = queue_.push(agent, std::move(request))) refuse(*displaced, LedgerError::overloaded);
}

void Batcher::submit(EndCommand ending) {
    endings_.push_back(std::move(ending));
}

void Batcher::freed(const std::string& agent) {
    if (parked_.contains(agent)) freed_.insert(agent);
    if (under_way_ > 0) freed_meanwhile_.insert(agent);
}

Batch Batcher::take(Steady::time_point now, bool with_endings) {
    Batch batch;
    if (with_endings) take_endings(batch);
    take_parked(batch, now);
    while (batch.requests.size() < limits_.batch) {
        std::optional<ReserveRequest> request = queue_.pop();
        if (!request) break;
        take_unless_abandoned(batch, std::move(*request));
    }
    if (!batch.empty()) ++under_way_;
    sort_by_agent(batch.endings);
    sort_by_agent(batch.requests);
    return batch;
}

void Batcher::take_unless_abandoned(Batch& batch, ReserveRequest request) {
    if (request.pending->is_abandoned()) {
        open_.erase(request.command.transaction);
    } else {
        batch.requests.push_back(std::move(request));
    }
}

void Batcher::take_endings(Batch& batch) {
    std::unordered_set<std::string> transactions;
    std::deque<EndCommand> later;
    while (!endings_.empty() && batch.endings.size() < limits_.batch) {
        EndCommand ending = std::move(endings_.front());
        endings_.pop_front();
        freed(ending.agent.str());
        if (transactions.insert(ending.transaction.str()).second) {
            batch.endings.push_back(std::move(ending));
        } else {
            later.push_back(std::move(ending));
        }
    }
    endings_.insert(endings_.begin(), std::make_move_iterator(later.begin()),
                    std::make_move_iterator(later.end()));
}

// Whose agent got money back, and whose time is over: one last try.
void Batcher::take_parked(Batch& batch, Steady::time_point now) {
    for (auto entry = parked_.begin(); entry != parked_.end();) {
        auto& [agent, line] = *entry;
        const bool is_due = std::ranges::any_of(
            line, [&](const Parked& parked) { return parked.request.command.wait_until <= now; });
        if (is_due || freed_.contains(agent)) take_line(batch, line);
        if (line.empty()) freed_.erase(agent);
        entry = line.empty() ? parked_.erase(entry) : std::next(entry);
    }
}

void Batcher::take_line(Batch& batch, ParkedLine& line) {
    while (!line.empty() && batch.requests.size() < limits_.batch) {
        Parked parked = std::move(line.front());
        line.pop_front();
        --parked_count_;
        take_unless_abandoned(batch, std::move(parked.request));
    }
}

bool Batcher::has_request(Steady::time_point now) const {
    return !queue_.empty() || !freed_.empty() || next_due() <= now;
}

Steady::time_point Batcher::next_due() const {
    auto due = Steady::time_point::max();
    for (const auto& [agent, line] : parked_) {
        for (const Parked& parked : line)
            due = std::min(due, parked.request.command.wait_until);
    }
    return due;
}

void Batcher::deliver(Batch batch, const BatchAnswer& answers, Steady::time_point now) {
    for (const EndOutcome outcome : answers.endings) {
        counters_.ended += outcome == EndOutcome::ended ? 1 : 0;
        counters_.corrected += outcome == EndOutcome::corrected ? 1 : 0;
    }
    for (const EndCommand& ending : batch.endings)
        open_.erase(ending.transaction);
    for (std::size_t i = 0; i < batch.requests.size(); ++i) {
        ReserveRequest& request = batch.requests[i];
        const ReserveAnswer& reply = answers.requests.at(i);
        if (may_park(request, reply, now)) {
            park(std::move(request), reply);
        } else {
            answer(request, reply);
        }
    }
    batch_is_over();
}

void Batcher::batch_is_over() {
    if (--under_way_ == 0) freed_meanwhile_.clear();
}

// No more of one agent than its share, or it would keep others from waiting.
bool Batcher::may_park(const ReserveRequest& request, const ReserveAnswer& reply,
                       Steady::time_point now) const {
    if (!is_only_held(reply) || now >= request.command.wait_until || parked_count_ >= limits_.queue)
        return false;
    const auto line = parked_.find(request.command.agent.str());
    return line == parked_.end() || line->second.size() < limits_.queue / (parked_.size() + 1);
}

void Batcher::park(ReserveRequest request, ReserveAnswer reply) {
    const std::string agent = request.command.agent.str();
    parked_[agent].push_back({std::move(request), std::move(reply)});
    ++parked_count_;
    if (freed_meanwhile_.contains(agent)) freed_.insert(agent);
}

void Batcher::answer(const ReserveRequest& request, const ReserveAnswer& reply) {
    const auto* reserved = std::get_if<Reserved>(&reply);
    ++(reserved != nullptr ? counters_.reserved : counters_.refused);
    if (reserved == nullptr) open_.erase(request.command.transaction);
    if (!request.pending->answer(reply) && reserved != nullptr)
        submit(release_of(request.command, reserved->day));
}

void Batcher::refuse(const ReserveRequest& request, LedgerError error) {
    ++(error == LedgerError::overloaded ? counters_.overloaded : counters_.unavailable);
    open_.erase(request.command.transaction);
    [[maybe_unused]] const bool in_time = request.pending->answer(std::unexpected{error});
}

std::vector<EndCommand> Batcher::give_up(Batch batch, bool may_be_committed) {
    batch_is_over();
    std::vector<EndCommand> releases;
    for (const ReserveRequest& request : batch.requests) {
        refuse(request, LedgerError::unavailable);
        if (!may_be_committed) continue;
        releases.push_back(release_of(request.command, unknown_day));
        open_.insert(request.command.transaction);
    }
    endings_.insert(endings_.begin(), std::make_move_iterator(batch.endings.begin()),
                    std::make_move_iterator(batch.endings.end()));
    return releases;
}

void Batcher::reject(const Batch& batch) {
    batch_is_over();
    for (const ReserveRequest& request : batch.requests)
        refuse(request, LedgerError::unavailable);
}

std::vector<Batch> Batcher::split(Batch batch) {
    std::vector<Batch> singles;
    for (EndCommand& ending : batch.endings)
        singles.emplace_back().endings.push_back(std::move(ending));
    for (ReserveRequest& request : batch.requests)
        singles.emplace_back().requests.push_back(std::move(request));
    under_way_ += singles.size() - 1;
    return singles;
}

std::size_t Batcher::close() {
    while (std::optional<ReserveRequest> request = queue_.pop())
        refuse(*request, LedgerError::unavailable);
    for (auto& [agent, line] : parked_) {
        for (const Parked& parked : line)
            answer(parked.request, parked.answer);
    }
    parked_.clear();
    parked_count_ = 0;
    return endings_.size();
}

}  // namespace nomiqon::ledger
