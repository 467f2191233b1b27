#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nomiqon/ledger/ledger.h"

namespace nomiqon::test {

/// A ledger in memory: confirms the gateway's decision, burns `once` tokens, holds what is typical whatever
/// its limit, and remembers how reservations ended. Nothing ever waits in it.
class FakeLedger final : public ledger::Ledger {
  public:
    void add_agent(const Caid& caid, ledger::AgentSnapshot agent) {
        const std::lock_guard lock(mutex_);
        agents_.insert_or_assign(caid.str(), std::move(agent));
    }
    void refuse_all(std::optional<RefusalCode> code) {
        const std::lock_guard lock(mutex_);
        refuse_all_ = code;
    }

    boost::asio::awaitable<std::expected<std::optional<ledger::AgentSnapshot>, ledger::LedgerError>>
    find_agent(Caid caid) override {
        const std::lock_guard lock(mutex_);
        const auto found = agents_.find(caid.str());
        if (found == agents_.end()) co_return std::nullopt;
        co_return found->second;
    }

    boost::asio::awaitable<std::expected<bool, ledger::LedgerError>> is_token_used(AgentId /*agent*/,
                                                                                   Caid /*caid*/,
                                                                                   std::int64_t /*exp*/,
                                                                                   std::string jti) override {
        const std::lock_guard lock(mutex_);
        co_return burnt_.contains(jti);
    }

    boost::asio::awaitable<std::expected<Usdc, ledger::LedgerError>> affordable(
        ledger::AffordableQuery /*query*/) override {
        co_return Usdc::from_nanos(1'000'000'000);
    }

    boost::asio::awaitable<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> reserve(
        ledger::ReserveCommand command) override {
        const std::lock_guard lock(mutex_);
        if (command.decision) co_return ledger::ReserveRefused{*command.decision, {}};
        if (refuse_all_) co_return ledger::ReserveRefused{*refuse_all_, {}};
        if (!command.session && !burnt_.insert(command.jti).second) {
            co_return ledger::ReserveRefused{RefusalCode::spend_token_replayed, {}};
        }
        ++reserved_;
        co_return ledger::Reserved{.transaction = command.transaction,
                                   .agent = command.agent,
                                   .day = day_of(SystemClock{}.now()),
                                   .amount = command.typical.value_or(command.amount)};
    }

    void end(ledger::EndCommand command) override {
        const std::lock_guard lock(mutex_);
        ends_.push_back(std::move(command));
        changed_.notify_all();
    }

    void record_refusal(ledger::RefusalRecord record) override {
        const std::lock_guard lock(mutex_);
        refusals_.push_back(record.code);
    }

    /// The endings so far, once there are `count` of them.
    std::vector<ledger::EndCommand> wait_for_ends(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return ends_.size() >= count; });
        return ends_;
    }
    std::size_t reserved() {
        const std::lock_guard lock(mutex_);
        return reserved_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, ledger::AgentSnapshot> agents_;
    std::set<std::string> burnt_;
    std::optional<RefusalCode> refuse_all_;
    std::vector<ledger::EndCommand> ends_;
    std::vector<RefusalCode> refusals_;
    std::size_t reserved_ = 0;
};

}  // namespace nomiqon::test
