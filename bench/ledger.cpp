// Pairs of reservation and settlement a second, straight into the ledger: no sockets, no tokens, no policy.
// On a private PostgreSQL of its own, made for the run, with everything written to disk as in production.
//
//   bench_ledger [SECONDS]

#include <spdlog/sinks/null_sink.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "nomiqon/ledger/embedded_postgres.h"
#include "nomiqon/ledger/migrations.h"
#include "nomiqon/ledger/postgres_ledger.h"

namespace {

using namespace nomiqon;
using namespace nomiqon::ledger;
namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr Duration patience{30'000};
constexpr std::size_t in_flight = 64;
constexpr std::size_t most_agents = 1'000;

template <class T>
T must(std::expected<T, std::string> result) {
    if (!result) throw std::runtime_error(result.error());
    return std::move(*result);
}

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string path = (std::filesystem::temp_directory_path() / "nomiqon-bench-XXXXXX").string();
        if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory: " + path);
        path_ = path;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

struct Agent {
    AgentId id = AgentId::generate();
    Caid caid;
};

std::vector<Agent> make_agents(const std::string& owner_url) {
    std::vector<Agent> agents;
    std::string ids;
    std::string caids;
    for (std::size_t i = 0; i < most_agents; ++i) {
        PublicKey key{};
        key[0] = static_cast<std::uint8_t>(i);
        key[1] = static_cast<std::uint8_t>(i >> 8U);
        agents.push_back({.caid = Caid{key}});
        ids += (i == 0 ? "{" : ",") + agents.back().id.str();
        caids += (i == 0 ? "{" : ",") + agents.back().caid.str();
    }
    ids += '}';
    caids += '}';
    pqxx::connection connection(owner_url);
    pqxx::work work(connection);
    const auto insert = [&](const std::string& statement) {
        work.exec_params(statement + " from unnest($1::text[], $2::text[]) as made(agent, caid)", ids, caids);
    };
    insert(
        "insert into nomiqon.agents (agent_id, name, wallet_owner, wallet_address, wallet_mint, "
        "policy_version) "
        "select agent, agent, 'owner', 'address', 'mint', 1");
    insert(
        "insert into nomiqon.policies (agent_id, version, policy_id, document, created_by) "
        "select agent, 1, 'pol_' || agent, '{}', 'bench'");
    insert("insert into nomiqon.wallets (agent_id, balance) select agent, 1000000000000000");
    insert("insert into nomiqon.caids (agent_id, caid) select agent, caid");
    insert("insert into nomiqon.caid_owners (caid, agent_id) select caid, agent");
    work.commit();
    return agents;
}

ReserveCommand command_of(const Agent& agent) {
    const auto transaction = TransactionId::generate();
    return {.transaction = transaction,
            .request = RequestId::generate(),
            .agent = agent.id,
            .caid = agent.caid,
            .policy_version = 1,
            .decision = std::nullopt,
            .amount = *Usdc::parse("0.000001"),
            .token = std::string(400, 't'),  // as long as a signed one
            .jti = transaction.str(),
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

/// What `clients` coroutines do for a while, each one pair after another.
class Measurement {
  public:
    Measurement(PostgresLedger& ledger, const std::vector<Agent>& agents, std::size_t agent_count,
                std::size_t clients, double seconds)
        : ledger_(ledger), agents_(agents), agent_count_(agent_count) {
        asio::io_context context;
        const auto before = ledger.stats();
        const auto begin = Steady::now();
        end_ = begin + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(seconds));
        for (std::size_t i = 0; i < clients; ++i) {
            asio::co_spawn(context, client(), [](const std::exception_ptr& error) {
                if (error) std::rethrow_exception(error);
            });
        }
        context.run();
        while (ledger.stats().endings_waiting > 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const double took = std::chrono::duration<double>(Steady::now() - begin).count();
        const auto batches = ledger.stats().batches - before.batches;
        std::ranges::sort(latencies_);
        std::printf(
            "%5zu agents, %3zu in flight: %8.0f pairs/s, p50 %6.2f ms, p99 %6.2f ms, %5.1f pairs/batch\n",
            agent_count, clients, static_cast<double>(latencies_.size()) / took, at(0.5), at(0.99),
            static_cast<double>(latencies_.size()) / static_cast<double>(batches));
        std::fflush(stdout);
    }

  private:
    asio::awaitable<void> client() {
        while (Steady::now() < end_) {
            auto command = command_of(agents_[next_++ % agent_count_]);
            EndCommand settlement{.transaction = command.transaction,
                                  .agent = command.agent,
                                  .day = {},
                                  .ending = Ending::settled,
                                  .amount = command.amount,
                                  .unknown = false,
                                  .reason = {},
                                  .model = {}};
            const auto since = Steady::now();
            const auto answer = co_await ledger_.reserve(std::move(command));
            latencies_.push_back(std::chrono::duration<double, std::milli>(Steady::now() - since).count());
            const auto* reserved = answer ? std::get_if<Reserved>(&*answer) : nullptr;
            if (reserved == nullptr) throw std::runtime_error("a reservation was refused");
            settlement.day = reserved->day;
            ledger_.end(std::move(settlement));
        }
    }
    [[nodiscard]] double at(double share) const {
        return latencies_.at(static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1)));
    }

    PostgresLedger& ledger_;
    const std::vector<Agent>& agents_;
    std::size_t agent_count_;
    std::size_t next_ = 0;
    Steady::time_point end_;
    std::vector<double> latencies_;
};

void measure_all(double seconds) {
    const TemporaryDirectory directory;
    const auto postgres = must(EmbeddedPostgres::start({.data_dir = directory.path()}));
    must(migrate(postgres->owner_url(), embedded_migrations(), patience));
    const auto roles =
        must(ensure_roles(postgres->owner_url(), postgres->runtime_url(), RuntimeLogin::yes, patience));
    const auto agents = make_agents(postgres->owner_url());

    const auto silent =
        std::make_shared<spdlog::logger>("bench", std::make_shared<spdlog::sinks::null_sink_mt>());
    PostgresLedger ledger({.version = "bench"}, silent);
    ledger.connect(roles.runtime_conninfo, roles.set_role);
    for (int i = 0; i < 600 && !ledger.is_available(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));

    // First on empty tables: a plan that was made for them must not spoil what comes after.
    for (const std::size_t agent_count : {std::size_t{1}, most_agents}) {
        for (const std::size_t clients : {std::size_t{1}, in_flight})
            Measurement(ledger, agents, agent_count, clients, seconds);
    }
    ledger.stop(patience);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        measure_all(argc > 1 ? std::stod(argv[1]) : 5);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_ledger: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
