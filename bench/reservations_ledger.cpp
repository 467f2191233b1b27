#include "reservations_ledger.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <thread>
#include <variant>
#include <vector>

namespace nomiqon::bench {
namespace {

using ledger::EndCommand;
using ledger::PostgresLedger;
using ledger::ReserveCommand;
namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds drain_limit{30};

const Usdc price = *Usdc::parse("0.000001");
const std::string token(400, 't');  // as long as a signed one

ReserveCommand command_of(const Agent& agent) {
    auto transaction = TransactionId::generate();
    std::string jti = transaction.str();
    return {.transaction = std::move(transaction),
            .request = RequestId::generate(),
            .agent = agent.id,
            .caid = agent.caid,
            .policy_version = 1,
            .decision = std::nullopt,
            .amount = price,
            .token = token,
            .jti = std::move(jti),
            .token_exp = unix_seconds(SystemClock{}.now()) + 60,
            .session = false,
            .token_max = std::nullopt,
            .ref = "run-42",
            .scheme = "https",
            .host = "api.example.com",
            .port = 443,
            .method = "CONNECT",
            .model = {}};
}

EndCommand settlement_of(const ReserveCommand& command) {
    return {.transaction = command.transaction,
            .agent = command.agent,
            .day = {},
            .ending = ledger::Ending::settled,
            .amount = command.amount,
            .unknown = false,
            .reason = {},
            .model = {}};
}

/// The clients of one gateway, on one thread.
class Clients {
  public:
    Clients(PostgresLedger& ledger, std::span<const Agent> agents, const Load& load, Steady::time_point end)
        : ledger_(ledger), agents_(agents), load_(load), end_(end), before_(ledger.stats()) {}

    void run() {
        asio::io_context context{1};
        for (std::size_t i = 0; i < load_.clients; ++i) {
            // All others go on to their own end: the ledger must not answer to a context that is gone.
            asio::co_spawn(context, client(), [this](const std::exception_ptr& error) {
                if (error && !error_) error_ = error;
            });
        }
        context.run();
        if (!error_ && load_.settle) drain();
    }

    void add_to(std::vector<double>& latencies, std::uint64_t& batches) const {
        if (error_) std::rethrow_exception(error_);
        latencies.insert(latencies.end(), latencies_.begin(), latencies_.end());
        batches += ledger_.stats().batches - before_.batches;
    }

  private:
    asio::awaitable<void> client() {
        while (Steady::now() < end_ && !error_ && !interrupted) {
            auto command = command_of(agents_[next_++ % agents_.size()]);
            auto settlement = settlement_of(command);
            const auto since = Steady::now();
            const auto answer = co_await ledger_.reserve(std::move(command));
            latencies_.push_back(std::chrono::duration<double, std::milli>(Steady::now() - since).count());
            if (!answer) throw std::runtime_error("the ledger was unavailable or overloaded");
            const auto* reserved = std::get_if<ledger::Reserved>(&*answer);
            if (reserved == nullptr) throw std::runtime_error("a reservation was refused");
            if (!load_.settle) continue;
            settlement.day = reserved->day;
            ledger_.end(std::move(settlement));
        }
    }

    void drain() {
        const auto until = Steady::now() + drain_limit;
        while (ledger_.stats().ended - before_.ended < latencies_.size()) {
            if (Steady::now() > until)
                error_ = std::make_exception_ptr(std::runtime_error("settlements are missing"));
            if (error_ || interrupted) return;
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }

    PostgresLedger& ledger_;
    std::span<const Agent> agents_;
    const Load& load_;
    Steady::time_point end_;
    ledger::LedgerStats before_;
    std::size_t next_ = 0;
    std::vector<double> latencies_;
    std::exception_ptr error_;
};

}  // namespace

Sample measure_ledger(std::span<const std::unique_ptr<PostgresLedger>> gateways,
                      std::span<const Agent> agents, const Load& load, const Cpu& cpu) {
    const CpuTime cpu_before = cpu.now();
    const auto began = Steady::now();
    const auto end =
        began + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(load.seconds));
    std::vector<std::unique_ptr<Clients>> all;
    for (const auto& gateway : gateways.first(load.gateways))
        all.push_back(std::make_unique<Clients>(*gateway, agents.first(load.agents), load, end));
    std::vector<std::jthread> threads;
    for (const auto& clients : all)
        threads.emplace_back([&clients = *clients] { clients.run(); });
    threads.clear();
    const double took = std::chrono::duration<double>(Steady::now() - began).count();
    const CpuTime cpu_took = cpu.now() - cpu_before;

    std::vector<double> latencies;
    std::uint64_t batches = 0;
    for (const auto& clients : all)
        clients->add_to(latencies, batches);
    const auto count = static_cast<double>(latencies.size());
    Sample sample = summarise(std::move(latencies), took, cpu_took);
    if (batches > 0) sample.per_batch = count / static_cast<double>(batches);
    return sample;
}

}  // namespace nomiqon::bench
