#include "nomiqon/ledger/postgres_ledger.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <pqxx/nontransaction>
#include <thread>

#include "admin_worker.h"
#include "listener.h"
#include "maintenance.h"
#include "state.h"
#include "worker.h"

namespace nomiqon::ledger {
namespace {

namespace asio = boost::asio;
constexpr unsigned admin_workers = 2;
constexpr Duration admin_grace{1000};  // for a call that is under way when the gateway stops
constexpr Duration watch_every{250};
constexpr Duration watch_grace{1000};  // beyond the statement's own limit, before the socket is shut down

AgentSnapshot snapshot_of(const pqxx::row& row) {
    auto agent = AgentId::parse(row["agent_id"].as<std::string>());
    if (!agent) throw std::runtime_error{"the database holds a malformed agent id"};
    return {*agent, row["policy_version"].as<std::int32_t>(), row["policy_document"].as<std::string>()};
}

}  // namespace

struct PostgresLedger::Impl {
    Impl(Options options, std::shared_ptr<spdlog::logger> log) : state(std::move(options), std::move(log)) {
        const unsigned count = std::max(1U, state.options.connections);
        for (unsigned i = 0; i < count; ++i) {
            workers.push_back(std::make_unique<Worker>(state, "ledger-" + std::to_string(i)));
        }
        state.set_oldest_open([this] {
            std::optional<TransactionId> oldest;
            for (const auto& worker : workers) {
                const auto of_worker = worker->oldest_open();
                if (of_worker && (!oldest || *of_worker < *oldest)) oldest = of_worker;
            }
            return oldest;
        });
        maintenance = std::make_unique<Maintenance>(state, [this](EndCommand command) {
            Worker& worker = worker_of(command.agent.str());
            worker.submit(std::move(command));
        });
        listener = std::make_unique<Listener>(
            state, [this](const std::string& agent) { worker_of(agent).freed(agent); });
        for (unsigned i = 0; i < admin_workers; ++i)
            admins.push_back(std::make_unique<AdminWorker>(state, calls));
        watchdog = std::jthread{[this](const std::stop_token& stop) { watch(stop); }};
    }

    // An agent's requests all go to one connection: two would wait for each other on the agent's row.
    Worker& worker_of(const std::string& key) {
        return *workers[std::hash<std::string>{}(key) % workers.size()];
    }

    void watch(const std::stop_token& stop) {
        std::mutex mutex;
        std::unique_lock lock{mutex};
        std::condition_variable_any pause;
        while (!stop.stop_requested()) {
            pause.wait_for(lock, stop, watch_every, [] { return false; });
            const Duration limit = state.options.timeout + watch_grace;
            for (const auto& worker : workers)
                worker->watch(limit);
            maintenance->watch(limit);
            for (const auto& admin : admins)
                admin->watch(state.options.admin_timeout + watch_grace);
        }
    }

    // Runs a look-up on the worker of `key` and waits for its answer, at most for the ledger's time limit.
    template <class T, class Look>
    asio::awaitable<std::expected<T, LedgerError>> look_up(std::string key, Look look) {
        using Answer = std::expected<T, LedgerError>;
        auto executor = co_await asio::this_coro::executor;
        auto pending = std::make_shared<Pending<Answer>>(executor, Steady::now() + state.options.timeout);
        const bool queued =
            worker_of(key).submit([pending, look = std::move(look)](pqxx::connection* connection) {
                [[maybe_unused]] const bool in_time = pending->answer(
                    connection != nullptr ? Answer{look(*connection)}
                                          : Answer{std::unexpected{LedgerError::unavailable}});
            });
        if (!queued) {
            state.counters.overloaded.fetch_add(1, std::memory_order_relaxed);
            co_return std::unexpected{LedgerError::overloaded};
        }
        std::optional<Answer> answer = co_await pending->wait();
        if (!answer) co_return std::unexpected{LedgerError::unavailable};
        co_return std::move(*answer);
    }

    State state;
    std::vector<std::unique_ptr<Worker>> workers;
    std::unique_ptr<Maintenance> maintenance;
    std::unique_ptr<Listener> listener;
    AdminWorker::Queue calls;
    std::vector<std::unique_ptr<AdminWorker>> admins;
    std::atomic<bool> stopped{false};
    std::jthread watchdog;  // destroyed first: it looks at all of the above
};

PostgresLedger::PostgresLedger(Options options, std::shared_ptr<spdlog::logger> log)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(log))) {}

PostgresLedger::~PostgresLedger() {
    stop(Duration{0});
}

void PostgresLedger::connect(std::string conninfo, std::string set_role) {
    impl_->state.set_target({std::move(conninfo), std::move(set_role)});
}

void PostgresLedger::stop(Duration limit) {
    if (impl_->stopped.exchange(true)) return;
    const auto deadline = Steady::now() + limit;
    impl_->calls.stop();
    for (const auto& admin : impl_->admins)
        admin->stop(admin_grace);
    impl_->listener->stop();
    for (const auto& worker : impl_->workers)
        worker->stop(deadline);
    impl_->maintenance->stop();
}

void PostgresLedger::keep_price_book(std::string version, std::string document) {
    impl_->state.keep_price_book({std::move(version), std::move(document)});
}

bool PostgresLedger::is_available() const {
    return impl_->state.available();
}

LedgerStats PostgresLedger::stats() const {
    const auto& counters = impl_->state.counters;
    LedgerStats stats{.batches = counters.batches,
                      .unavailable = counters.unavailable,
                      .overloaded = counters.overloaded,
                      .refusals_dropped = counters.refusals_dropped,
                      .expired = counters.expired,
                      .in_doubt = impl_->state.doubts()};
    for (const auto& worker : impl_->workers) {
        const Batcher::Counters of_worker = worker->counters();
        stats.reserved += of_worker.reserved;
        stats.refused += of_worker.refused;
        stats.ended += of_worker.ended;
        stats.corrected += of_worker.corrected;
        stats.unavailable += of_worker.unavailable;
        stats.overloaded += of_worker.overloaded;
        stats.waiting += worker->waiting();
        stats.endings_waiting += worker->endings_waiting();
    }
    return stats;
}

asio::awaitable<std::expected<std::optional<AgentSnapshot>, LedgerError>> PostgresLedger::find_agent(
    Caid caid) {
    co_return co_await impl_->look_up<std::optional<AgentSnapshot>>(
        caid.str(), [caid](pqxx::connection& connection) -> std::optional<AgentSnapshot> {
            const auto rows = pqxx::nontransaction{connection}.exec_prepared("find_agent", caid.str());
            if (rows.empty()) return std::nullopt;
            return snapshot_of(rows[0]);
        });
}

asio::awaitable<std::expected<bool, LedgerError>> PostgresLedger::is_token_used(AgentId agent, Caid caid,
                                                                                std::int64_t exp,
                                                                                std::string jti) {
    co_return co_await impl_->look_up<bool>(agent.str(), [=](pqxx::connection& connection) {
        pqxx::nontransaction tx{connection};
        return tx.exec_prepared1("is_token_used", agent.str(), caid.str(), exp, jti)[0].as<bool>();
    });
}

asio::awaitable<std::expected<Usdc, LedgerError>> PostgresLedger::affordable(AffordableQuery query) {
    const std::string agent = query.agent.str();
    co_return co_await impl_->look_up<Usdc>(agent, [query = std::move(query)](pqxx::connection& connection) {
        const auto max = query.token_max ? std::optional(query.token_max->nanos()) : std::nullopt;
        const auto rows = pqxx::nontransaction{connection}.exec_prepared(
            "affordable", query.agent.str(), query.caid.str(), query.token_exp, query.jti, max);
        return Usdc::from_nanos(rows.empty() ? 0 : rows[0][0].as<std::int64_t>(0));
    });
}

asio::awaitable<std::expected<ReserveAnswer, LedgerError>> PostgresLedger::reserve(ReserveCommand command) {
    auto executor = co_await asio::this_coro::executor;
    State& state = impl_->state;
    // Whoever waits for held money gets its answer when the wait is over, and the database's time on top.
    const auto deadline = std::max(Steady::now(), command.wait_until) + state.options.timeout;
    auto pending = std::make_shared<Pending<ReserveResult>>(executor, deadline);
    Worker& worker = impl_->worker_of(command.agent.str());
    worker.submit(ReserveRequest{std::move(command), pending});
    std::optional<ReserveResult> answer = co_await pending->wait();
    if (!answer) {
        state.counters.unavailable.fetch_add(1, std::memory_order_relaxed);
        co_return std::unexpected{LedgerError::unavailable};
    }
    co_return std::move(*answer);
}

void PostgresLedger::end(EndCommand command) {
    Worker& worker = impl_->worker_of(command.agent.str());
    worker.submit(std::move(command));
}

void PostgresLedger::record_refusal(RefusalRecord record) {
    if (!impl_->state.refusals.push(std::move(record))) {
        impl_->state.counters.refusals_dropped.fetch_add(1, std::memory_order_relaxed);
    }
}

asio::awaitable<std::expected<nlohmann::json, AdminError>> PostgresLedger::call(std::string function,
                                                                                nlohmann::json arguments) {
    auto executor = co_await asio::this_coro::executor;
    auto pending = std::make_shared<Pending<AdminWorker::Answer>>(
        executor, Steady::now() + impl_->state.options.admin_timeout);
    const bool queued = impl_->calls.push({std::move(function), std::move(arguments), pending});
    if (!queued) co_return std::unexpected{AdminError{"unavailable", "too many calls are waiting", {}}};
    std::optional<AdminWorker::Answer> answer = co_await pending->wait();
    if (!answer)
        co_return std::unexpected{AdminError{"unavailable", "the database did not answer in time", {}}};
    co_return std::move(*answer);
}

}  // namespace nomiqon::ledger
