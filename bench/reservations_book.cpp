// The database side of a Book: made, emptied, filled with history. By SQL as a superuser, past the triggers
// that keep the ledger append-only: none of this is what is measured.

#include <fmt/format.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <chrono>
#include <expected>
#include <map>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "nomiqon/ledger/migrations.h"
#include "reservations_ledger.h"
#include "reservations_stand.h"

namespace nomiqon::bench {
namespace {

using ledger::PostgresLedger;

constexpr Duration patience{30'000};
constexpr std::int64_t filled_at_once = 100'000;

// Enough for every run, and far from the end of a bigint.
constexpr const char* fund =
    "insert into nomiqon.wallets (agent_id, balance) select agent_id, 1000000000000000 from nomiqon.agents";

template <class T>
T must(std::expected<T, std::string> result) {
    if (!result) throw std::runtime_error(result.error());
    return std::move(*result);
}

std::vector<Agent> make_agents(const std::string& owner_url, std::size_t count) {
    std::vector<Agent> agents;
    std::string ids;
    std::string caids;
    for (std::size_t i = 0; i < count; ++i) {
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
    insert("insert into nomiqon.caids (agent_id, caid) select agent, caid");
    insert("insert into nomiqon.caid_owners (caid, agent_id) select caid, agent");
    work.exec(fund);
    work.commit();
    return agents;
}

/// Identifiers that sort by n, and before all real ones.
std::string id_of(std::string_view prefix) {
    return fmt::format("'{}_01' || lpad(to_hex(n), 8, '0') || left(md5(n::text), 16)", prefix);
}

/// The rows of one settled reservation of the agent's, in tables of the session: whatever columns the
/// ledger's tables have, history is made of what the ledger itself wrote.
void take_model(pqxx::work& work, const std::string& agent) {
    const auto transaction =
        work.exec_params1("select transaction_id from nomiqon.endings where agent_id = $1 limit 1", agent)[0]
            .as<std::string>();
    const auto keep = [&](const std::string& table, const std::string& id) {
        work.exec(
            fmt::format("create temp table model_{0} as select t.*, row_number() over () as line "
                        "from nomiqon.{0} t where agent_id = {1} and {2} = {3}",
                        table, work.quote(agent), id, work.quote(transaction)));
    };
    keep("reservations", "transaction_id");
    keep("endings", "transaction_id");
    keep("transfers", "transaction_id");
    keep("tokens", "jti");  // which the clients made the same as the transaction's id
}

/// Copies the model's rows of a table for each n from $1 to $2, with these expressions in place of some
/// columns.
void copy(pqxx::work& work, const std::string& table, std::map<std::string, std::string> expressions,
          std::int64_t first, std::int64_t last) {
    const auto columns = work.exec_params(
        "select attname from pg_attribute where attrelid = ('nomiqon.' || $1)::regclass "
        "and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = ''",
        table);
    std::string names;
    std::string values;
    for (const auto& column : columns) {
        const auto name = column[0].as<std::string>();
        const auto changed = expressions.find(name);
        const std::string comma = names.empty() ? "" : ", ";
        names += comma + work.quote_name(name);
        values += comma + (changed != expressions.end() ? changed->second : "m." + work.quote_name(name));
    }
    work.exec_params(fmt::format("insert into nomiqon.{0} ({1}) select {2} "
                                 "from generate_series($1::bigint, $2::bigint) n cross join model_{0} m",
                                 table, names, values),
                     first, last);
}

void copy_all(pqxx::work& work, std::int64_t first, std::int64_t last) {
    const std::string id = id_of("txn");
    copy(work, "tokens", {{"jti", id}}, first, last);
    copy(work, "reservations", {{"transaction_id", id}, {"request_id", id_of("req")}, {"token_id", id}},
         first, last);
    copy(work, "endings", {{"transaction_id", id}}, first, last);
    // The agent's row counts its lines, and the next one goes on from there.
    copy(work, "transfers",
         {{"transaction_id", id},
          {"transfer_id", "nextval('nomiqon.transfer_ids')"},
          {"seq", fmt::format("(select chain_seq from nomiqon.wallets w where w.agent_id = m.agent_id) + "
                              "(select count(*) from model_transfers) * (n - {}) + m.line",
                              first)}},
         first, last);
    const std::string spent =
        fmt::format("amount * {} as all_of_it from model_reservations", last - first + 1);
    work.exec(
        fmt::format("update nomiqon.wallets w set balance = w.balance - m.all_of_it, "
                    "spent = w.spent + m.all_of_it, "
                    "chain_seq = w.chain_seq + {} * (select count(*) from model_transfers) "
                    "from (select agent_id, {}) m where w.agent_id = m.agent_id",
                    last - first + 1, spent));
    work.exec(
        fmt::format("update nomiqon.agent_days d set spent = d.spent + m.all_of_it "
                    "from (select agent_id, day, {}) m where d.agent_id = m.agent_id and d.day = m.day",
                    spent));
}

}  // namespace

Book::Book(const std::string& owner_url, const std::string& runtime_url, std::size_t agents,
           std::size_t gateways, Cpu cpu)
    : owner_url_(owner_url), cpu_(cpu) {
    must(migrate(owner_url, embedded_migrations(), patience));
    const auto roles = must(ensure_roles(owner_url, runtime_url, RuntimeLogin::yes, patience));
    agents_ = make_agents(owner_url, agents);

    const auto silent =
        std::make_shared<spdlog::logger>("bench", std::make_shared<spdlog::sinks::null_sink_mt>());
    for (std::size_t i = 0; i < gateways; ++i) {
        gateways_.push_back(
            std::make_unique<PostgresLedger>(PostgresLedger::Options{.version = "bench"}, silent));
        gateways_.back()->connect(roles.runtime_conninfo, roles.set_role);
    }
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!std::ranges::all_of(gateways_, [](const auto& gateway) { return gateway->is_available(); })) {
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error("the ledger does not start");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void Book::empty() {
    pqxx::connection connection(owner_url_);
    pqxx::work work(connection);
    work.exec("set local session_replication_role = replica");
    const auto tables = work.exec1(
        "select string_agg(c.oid::regclass::text, ', ') from pg_class c "
        "where c.relnamespace = 'nomiqon'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition "
        "and c.relname in ('wallets', 'agent_days', 'tokens', 'reservations', 'endings', 'corrections', "
        "'transfers', 'refusals')");
    work.exec("truncate " + tables[0].as<std::string>());
    work.exec(fund);
    work.commit();
}

void Book::fill(std::int64_t reservations) {
    [[maybe_unused]] const Sample models = measure({.clients = 1, .settle = true, .seconds = 0.05});
    pqxx::connection connection(owner_url_);
    {
        pqxx::work work(connection);
        take_model(work, agents_.front().id.str());
        work.commit();
    }
    for (std::int64_t first = 1; first <= reservations && !interrupted; first += filled_at_once) {
        pqxx::work work(connection);
        work.exec("set local session_replication_role = replica");
        work.exec("set local synchronous_commit = off");
        copy_all(work, first, std::min(reservations, first + filled_at_once - 1));
        work.commit();
    }
    // Now, or autovacuum would do it in the middle of a measurement.
    pqxx::nontransaction{connection}.exec("vacuum analyze");
}

Sample Book::measure(const Load& load) {
    return measure_ledger(gateways_, agents_, load, cpu_);
}

}  // namespace nomiqon::bench
