#include "sql_ledger.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include "nomiqon/core/encoding.h"
#include "wire.h"

namespace nomiqon::simulation {
namespace {

// Another clock, of the session. The rest of a function's attributes stays.
constexpr const char* clock_function = R"(
create or replace function nomiqon.internal_now() returns timestamptz
language sql volatile set search_path = pg_catalog, nomiqon, pg_temp
as $$ select timestamptz 'epoch' + current_setting('nomiqon_test.now')::bigint * interval '1 microsecond' $$;
)";

EndOutcome outcome_of(ledger::EndOutcome outcome) {
    switch (outcome) {
        case ledger::EndOutcome::ended:
            return EndOutcome::ended;
        case ledger::EndOutcome::already_ended:
            return EndOutcome::already_ended;
        case ledger::EndOutcome::corrected:
            return EndOutcome::corrected;
        case ledger::EndOutcome::not_found:
            return EndOutcome::not_found;
    }
    std::unreachable();
}

std::string number(const Cap& cap) {
    return cap ? std::to_string(*cap) : "";
}

}  // namespace

struct SqlLedger::Connection {
    explicit Connection(const std::string& url) : link(url) {}
    pqxx::connection link;
    ledger::WorkTypes types;
};

SqlLedger::SqlLedger(const std::string& owner_url, Time start)
    : connection_(std::make_unique<Connection>(owner_url)) {
    pqxx::connection& link = connection_->link;
    pqxx::nontransaction{link}.exec0(clock_function);
    link.prepare("work", ledger::work_statement());
    pqxx::nontransaction reading{link};
    connection_->types = ledger::read_work_types(reading);
    reading.commit();
    set_time(start);
}

SqlLedger::~SqlLedger() = default;

void SqlLedger::set_time(Time now) {
    pqxx::nontransaction{connection_->link}.exec_params1("select set_config('nomiqon_test.now', $1, false)",
                                                         std::to_string(now.time_since_epoch().count()));
}

std::expected<WorkAnswers, ModelLedger::NotYet> SqlLedger::work(const Work& work) {
    ledger::Batch batch{.endings = work.endings, .requests = {}};
    for (const ledger::ReserveCommand& request : work.requests)
        batch.requests.push_back({request, nullptr});
    ledger::BatchAnswer answer;
    try {
        pqxx::work transaction{connection_->link};
        answer = ledger::read_answer(
            ledger::send_work(transaction, connection_->types, work.gateway, batch, {}), batch);
        transaction.commit();
    } catch (const pqxx::sql_error& error) {
        if (error.sqlstate() != "NQ001") throw;
        return std::unexpected{ModelLedger::NotYet::lease_lapsed};
    }
    WorkAnswers answers{.endings = {}, .requests = std::move(answer.requests)};
    for (const ledger::EndOutcome outcome : answer.endings)
        answers.endings.push_back(outcome_of(outcome));
    return answers;
}

bool SqlLedger::renew_lease(const std::string& gateway, std::chrono::seconds lease) {
    return pqxx::nontransaction{connection_->link}
        .exec_params1("select nomiqon.renew_lease($1, 'host', 'test', $2::integer * interval '1 second')",
                      gateway, lease.count())[0]
        .as<bool>();
}

int SqlLedger::expire() {
    return pqxx::nontransaction{connection_->link}
        .exec1("select nomiqon.expire_reservations(1000000)")[0]
        .as<int>();
}

void SqlLedger::forget_tokens() {
    pqxx::nontransaction{connection_->link}.exec1("select nomiqon.forget_expired()");
}

Done SqlLedger::admin(const std::string& function, const std::string& arguments) {
    const auto text = pqxx::nontransaction{connection_->link}
                          .exec_params1("select nomiqon.call_admin($1, $2::jsonb)", function, arguments)[0]
                          .as<std::string>();
    const auto answer = nlohmann::json::parse(text);
    if (answer.contains("answer")) return {};
    const auto state = answer.at("refusal").at("sqlstate").get<std::string>();
    if (state == "NQ404") return std::unexpected{Refused::not_found};
    return std::unexpected{state == "NQ409" ? Refused::conflict : Refused::invalid};
}

// Rows ------------------------------------------------------------------------------------------------------

SqlLedger::Rows SqlLedger::rows(const std::string& query) {
    Rows rows;
    for (const auto& row : pqxx::nontransaction{connection_->link}.exec(query))
        rows.emplace(row[0].as<std::string>(), row[1].as<std::string>());
    return rows;
}

SqlLedger::Rows SqlLedger::wallets() {
    return rows(
        "select agent_id, concat_ws(' ', balance, reserved, spent, exposed, chain_seq, "
        "encode(chain_hash, 'hex')) from nomiqon.wallets");
}

SqlLedger::Rows wallets_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        const WalletRow& w = account.wallet;
        rows.emplace(agent, fmt::format("{} {} {} {} {} {}", w.balance, w.reserved, w.spent, w.exposed,
                                        w.chain_seq, hex_encode(w.chain_hash)));
    }
    return rows;
}

SqlLedger::Rows SqlLedger::days() {
    return rows(
        "select agent_id || ' ' || day, concat_ws(' ', spent, reserved) from nomiqon.agent_days "
        "where spent <> 0 or reserved <> 0");
}

SqlLedger::Rows days_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        for (const auto& [day, row] : account.days) {
            if (row != DayRow{})
                rows.emplace(agent + ' ' + format_day(day), fmt::format("{} {}", row.spent, row.reserved));
        }
    }
    return rows;
}

SqlLedger::Rows SqlLedger::tokens() {
    return rows(
        "select concat_ws(' ', agent_id, concat_ws('/', caid, exp, jti)), "
        "case when session then concat_ws(' ', spent, reserved) else 'once' end from nomiqon.tokens");
}

SqlLedger::Rows tokens_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        for (const auto& [key, row] : account.tokens)
            rows.emplace(agent + ' ' + key,
                         row.session ? fmt::format("{} {}", row.spent, row.reserved) : "once");
    }
    return rows;
}

SqlLedger::Rows SqlLedger::reservations() {
    return rows(
        "select concat_ws(' ', agent_id, day, transaction_id), concat_ws('|', request_id, gateway_id, caid, "
        "policy_version, amount, bound, overrun_limit, coalesce(daily_cap::text, ''), "
        "coalesce(total_cap::text, ''), coalesce(token_max::text, ''), scheme, host, port, method, "
        "coalesce(model, ''), coalesce(ref, ''), token_id, token_exp, token_session, token, "
        "nomiqon.internal_micros(created_at)) from nomiqon.reservations");
}

SqlLedger::Rows reservations_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        for (const auto& [id, r] : account.reservations) {
            rows.emplace(
                agent + ' ' + format_day(r.day) + ' ' + id,
                fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", r.request,
                            r.gateway, r.caid, r.policy_version, r.amount, r.bound, r.overrun_limit,
                            number(r.daily_cap), number(r.total_cap), number(r.token_max), r.scheme, r.host,
                            r.port, r.method, r.model, r.ref, r.token_id, r.token_exp,
                            r.token_session ? "t" : "f", r.token, r.created_at.time_since_epoch().count()));
        }
    }
    return rows;
}

SqlLedger::Rows SqlLedger::endings() {
    return rows(
        "select concat_ws(' ', agent_id, e.day, transaction_id), concat_ws('|', ending, e.amount, unknown, "
        "overrun, coalesce(e.reason, ''), coalesce(e.model, ''), coalesce(e.basis, ''), "
        "coalesce(c.amount::text, ''), coalesce(c.reason, ''), coalesce(c.model, ''), coalesce(c.basis, '')) "
        "from nomiqon.endings e left join nomiqon.corrections c using (agent_id, transaction_id)");
}

SqlLedger::Rows endings_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        for (const auto& [id, e] : account.endings) {
            const auto correction = account.corrections.find(id);
            const auto c = correction == account.corrections.end() ? CorrectionRow{} : correction->second;
            rows.emplace(
                agent + ' ' + format_day(account.reservations.at(id).day) + ' ' + id,
                fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", e.settled ? "settled" : "released", e.amount,
                            e.unknown ? "t" : "f", e.overrun ? "t" : "f", e.reason, e.model, e.basis,
                            correction == account.corrections.end() ? "" : std::to_string(c.amount), c.reason,
                            c.model, c.basis));
        }
    }
    return rows;
}

SqlLedger::Rows SqlLedger::transfers() {
    return rows(
        "select agent_id || ' ' || lpad(seq::text, 9, '0'), concat_ws('|', day, kind, debit, credit, amount, "
        "coalesce(transaction_id, ''), coalesce(reference, ''), nomiqon.internal_micros(created_at), "
        "encode(hash, 'hex')) from nomiqon.transfers");
}

SqlLedger::Rows transfers_of(const ModelLedger& model) {
    SqlLedger::Rows rows;
    for (const auto& [agent, account] : model.accounts()) {
        for (const TransferRow& t : account.transfers) {
            rows.emplace(fmt::format("{} {:09}", agent, t.seq),
                         fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}", format_day(t.day), t.kind, t.debit,
                                     t.credit, t.amount, t.transaction, t.reference,
                                     t.created_at.time_since_epoch().count(), hex_encode(t.hash)));
        }
    }
    return rows;
}

}  // namespace nomiqon::simulation
