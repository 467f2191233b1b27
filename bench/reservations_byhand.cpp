#include "reservations_byhand.h"

#include <libpq-fe.h>

#include <barrier>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "nomiqon/core/ids.h"

namespace nomiqon::bench {
namespace {

using Steady = std::chrono::steady_clock;

constexpr long long price = 1'000;

// Inserting first keeps the agent's row locked for the UPDATE and the commit alone, so this is the fast way.
constexpr const char* schema = R"(
create schema byhand;
create table byhand.agents (
    agent_id text primary key, spent bigint not null default 0, cap bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create table byhand.reservations (
    agent_id text not null, id text not null, amount bigint not null, at timestamptz not null default now(),
    primary key (agent_id, id)
);
create function byhand.reserve(p_agent text, p_id text, p_amount bigint) returns boolean language plpgsql as $$
begin
    insert into byhand.reservations (agent_id, id, amount) values (p_agent, p_id, p_amount);
    update byhand.agents set spent = spent + p_amount where agent_id = p_agent and spent + p_amount <= cap;
    if not found then
        raise exception 'above the cap';
    end if;
    return true;
end $$;

-- And with all that the ledger does in one: wallet and day, the token id, the token kept, a transfer, the chain.
create table byhand.wallets (
    agent_id text primary key, balance bigint not null, reserved bigint not null default 0,
    chain_seq bigint not null default 0, chain_hash bytea not null default ''
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create table byhand.days (
    agent_id text not null, day date not null, spent bigint not null default 0, reserved bigint not null default 0,
    primary key (agent_id, day)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create table byhand.tokens (
    agent_id text not null, exp bigint not null, jti text not null, primary key (agent_id, exp, jti)
);
create table byhand.kept (
    agent_id text not null, id text not null, amount bigint not null, host text not null, method text not null,
    token text not null, at timestamptz not null, primary key (agent_id, id)
);
create index kept_by_id on byhand.kept (id);
create table byhand.transfers (
    agent_id text not null, seq bigint not null, kind text not null, debit text not null, credit text not null,
    amount bigint not null, id text not null, at timestamptz not null, hash bytea not null,
    primary key (agent_id, seq)
);
create function byhand.pay(p_agent text, p_id text, p_amount bigint) returns boolean language plpgsql as $$
declare
    v_now timestamptz := clock_timestamp();
    v_day date := (v_now at time zone 'UTC')::date;
    v_token text := repeat('t', 420);
    v_cap bigint := 1000000000000000;
    v_spent bigint;
    w byhand.wallets;
begin
    select * into w from byhand.wallets where agent_id = p_agent for update;
    insert into byhand.tokens values (p_agent, extract(epoch from v_now)::bigint + 60, p_id) on conflict do nothing;
    if not found then
        raise exception 'replayed';
    end if;
    select spent + reserved into v_spent from byhand.days where agent_id = p_agent and day = v_day;
    if p_amount > v_cap - coalesce(v_spent, 0) or p_amount > w.balance - w.reserved then
        raise exception 'above the cap';
    end if;
    insert into byhand.kept values (p_agent, p_id, p_amount, 'api.example.com', 'CONNECT', v_token, v_now);
    w.chain_hash := sha256(w.chain_hash || convert_to(json_build_array(
        'reserve', w.chain_seq + 1, p_agent, v_day, v_now, 'wallet', 'held', p_amount, p_id, 'api.example.com', 'CONNECT',
        v_token)::text, 'UTF8'));
    insert into byhand.transfers
    values (p_agent, w.chain_seq + 1, 'reserve', 'wallet', 'held', p_amount, p_id, v_now, w.chain_hash);
    update byhand.wallets
    set reserved = reserved + p_amount, chain_seq = chain_seq + 1, chain_hash = w.chain_hash where agent_id = p_agent;
    insert into byhand.days as d (agent_id, day, reserved) values (p_agent, v_day, p_amount)
    on conflict (agent_id, day) do update set reserved = d.reserved + excluded.reserved;
    return true;
end $$;
)";

struct Statement {
    const char* name;
    const char* sql;
};
constexpr Statement begin{"begin", "begin"};
constexpr Statement commit{"commit", "commit"};
constexpr Statement lock{"lock", "select spent, cap from byhand.agents where agent_id = $1 for update"};
constexpr Statement set_spent{"set_spent", "update byhand.agents set spent = $2::bigint where agent_id = $1"};
constexpr Statement insert{
    "insert", "insert into byhand.reservations (agent_id, id, amount) values ($1, $2, $3::bigint)"};
constexpr Statement add{"add",
                        "update byhand.agents set spent = spent + $2::bigint "
                        "where agent_id = $1 and spent + $2::bigint <= cap"};
constexpr Statement call{"call", "select byhand.reserve($1, $2, $3::bigint)"};
constexpr Statement pay{"pay", "select byhand.pay($1, $2, $3::bigint)"};

using Result = std::unique_ptr<PGresult, decltype([](PGresult* result) { PQclear(result); })>;

class Connection {
  public:
    explicit Connection(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
        if (PQstatus(connection_.get()) != CONNECTION_OK) fail();
        execute("set statement_timeout = '20s'");
    }

    void execute(const char* sql) { checked(Result{PQexec(connection_.get(), sql)}); }

    void prepare(const Statement& statement) {
        checked(Result{PQprepare(connection_.get(), statement.name, statement.sql, 0, nullptr)});
    }

    Result run(const Statement& statement, std::initializer_list<const char*> parameters) {
        return checked(
            Result{PQexecPrepared(connection_.get(), statement.name, static_cast<int>(parameters.size()),
                                  std::data(parameters), nullptr, nullptr, 0)});
    }

    void enter_pipeline() {
        if (PQenterPipelineMode(connection_.get()) != 1) fail();
    }
    void send(const Statement& statement, std::initializer_list<const char*> parameters) {
        if (PQsendQueryPrepared(connection_.get(), statement.name, static_cast<int>(parameters.size()),
                                std::data(parameters), nullptr, nullptr, 0) != 1)
            fail();
    }
    /// Sends what was queued in one piece; then come the results, in order.
    void flush() {
        if (PQpipelineSync(connection_.get()) != 1) fail();
    }
    Result receive() {
        Result result = checked(Result{PQgetResult(connection_.get())});
        if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) return result;
        if (PQgetResult(connection_.get()) != nullptr) throw std::runtime_error("one result too many");
        return result;
    }

  private:
    Result checked(Result result) {
        switch (PQresultStatus(result.get())) {
            case PGRES_COMMAND_OK:
            case PGRES_TUPLES_OK:
            case PGRES_PIPELINE_SYNC:
                return result;
            default:
                fail();
        }
    }
    [[noreturn]] void fail() {
        throw std::runtime_error(std::string{"by hand: "} + PQerrorMessage(connection_.get()));
    }

    std::unique_ptr<PGconn, decltype([](PGconn* connection) { PQfinish(connection); })> connection_;
};

void expect(bool as_expected) {
    if (!as_expected) throw std::runtime_error("by hand: a reservation was refused");
}

/// What the client does between SELECT and UPDATE; the new sum as text.
std::string add_price(const Result& row) {
    expect(PQntuples(row.get()) == 1);
    const long long spent = std::atoll(PQgetvalue(row.get(), 0, 0));
    const long long cap = std::atoll(PQgetvalue(row.get(), 0, 1));
    expect(price <= cap - spent);
    return std::to_string(spent + price);
}

class Client {
  public:
    Client(const std::string& url, ByHand kind) : connection_(url), kind_(kind) {
        for (const Statement& statement : {begin, commit, lock, set_spent, insert, add, call, pay})
            connection_.prepare(statement);
        if (kind == ByHand::for_update_pipelined) connection_.enter_pipeline();
    }

    void reserve(const std::string& agent) {
        const std::string id = TransactionId::generate().str();
        switch (kind_) {
            case ByHand::for_update:
                return by_statements(agent.c_str(), id.c_str());
            case ByHand::for_update_pipelined:
                return by_two_trips(agent.c_str(), id.c_str());
            case ByHand::one_update:
                return expect(std::string_view{PQcmdTuples(
                                  connection_.run(add, {agent.c_str(), amount_.c_str()}).get())} == "1");
            case ByHand::function_call:
                connection_.run(call, {agent.c_str(), id.c_str(), amount_.c_str()});
                return;
            case ByHand::function_of_all:
                connection_.run(pay, {agent.c_str(), id.c_str(), amount_.c_str()});
                return;
            case ByHand::one_insert:
                connection_.run(insert, {agent.c_str(), id.c_str(), amount_.c_str()});
                return;
        }
    }

  private:
    void by_statements(const char* agent, const char* id) {
        connection_.run(begin, {});
        const std::string spent = add_price(connection_.run(lock, {agent}));
        connection_.run(set_spent, {agent, spent.c_str()});
        connection_.run(insert, {agent, id, amount_.c_str()});
        connection_.run(commit, {});
    }

    void by_two_trips(const char* agent, const char* id) {
        connection_.send(begin, {});
        connection_.send(lock, {agent});
        connection_.flush();
        connection_.receive();
        const std::string spent = add_price(connection_.receive());
        connection_.receive();
        connection_.send(set_spent, {agent, spent.c_str()});
        connection_.send(insert, {agent, id, amount_.c_str()});
        connection_.send(commit, {});
        connection_.flush();
        for (int results = 0; results < 4; ++results)
            connection_.receive();
    }

    Connection connection_;
    ByHand kind_;
    std::string amount_ = std::to_string(price);
};

std::string agent_name(std::size_t number) {
    return "agent-" + std::to_string(number);
}

}  // namespace

void make_byhand(const std::string& owner_url, std::size_t agents) {
    Connection connection(owner_url);
    connection.execute(schema);
    connection.prepare({"fill",
                        "insert into byhand.agents (agent_id, cap) "
                        "select 'agent-' || n, 1000000000000000 from generate_series(0, $1::int - 1) n"});
    connection.run({"fill", ""}, {std::to_string(agents).c_str()});
    connection.execute(
        "insert into byhand.wallets (agent_id, balance) select agent_id, 1000000000000000 from "
        "byhand.agents");
    connection.execute("vacuum analyze byhand.agents");
    connection.execute("vacuum analyze byhand.wallets");
}

Sample measure_byhand(const std::string& owner_url, const ByHandLoad& load, const Cpu& cpu) {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < load.clients; ++i)
        clients.push_back(std::make_unique<Client>(owner_url, load.kind));

    std::vector<std::vector<double>> latencies(load.clients);
    std::vector<std::exception_ptr> errors(load.clients);
    std::barrier ready{static_cast<std::ptrdiff_t>(load.clients) + 1};
    const auto duration =
        std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(load.seconds));
    const auto work = [&](std::size_t number) {
        ready.arrive_and_wait();
        const auto end = Steady::now() + duration;
        try {
            // Each client starts elsewhere, so that many agents are many rows at every moment.
            for (std::size_t next = number * load.agents / load.clients; Steady::now() < end && !interrupted;
                 ++next) {
                const std::string agent = agent_name(next % load.agents);
                const auto since = Steady::now();
                clients[number]->reserve(agent);
                latencies[number].push_back(
                    std::chrono::duration<double, std::milli>(Steady::now() - since).count());
            }
        } catch (...) {
            errors[number] = std::current_exception();
        }
    };
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < load.clients; ++i)
        threads.emplace_back(work, i);
    const CpuTime cpu_before = cpu.now();
    ready.arrive_and_wait();
    const auto began = Steady::now();
    threads.clear();
    const double took = std::chrono::duration<double>(Steady::now() - began).count();
    const CpuTime cpu_took = cpu.now() - cpu_before;

    std::vector<double> all;
    for (std::size_t i = 0; i < load.clients; ++i) {
        if (errors[i]) std::rethrow_exception(errors[i]);
        all.insert(all.end(), latencies[i].begin(), latencies[i].end());
    }
    return summarise(std::move(all), took, cpu_took);
}

}  // namespace nomiqon::bench
