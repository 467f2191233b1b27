#include "wire.h"

#include <pqxx/row>
#include <stdexcept>

namespace nomiqon::ledger {
namespace {

nlohmann::json text_or_null(const std::string& text) {
    return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

std::optional<Time> time_of(const pqxx::field& field) {
    if (field.is_null()) return std::nullopt;
    // PostgreSQL writes "2026-05-24 00:00:00+00".
    std::string text{field.c_str()};
    if (text.size() > 10) text[10] = 'T';
    if (text.ends_with("+00")) text.replace(text.size() - 3, 3, "Z");
    return parse_time(text);
}

CapState cap_of(const pqxx::row& row) {
    return {.cap = row["cap"].as<std::string>(),
            .limit = Usdc::from_nanos(row["cap_limit"].as<std::int64_t>()),
            .spent = Usdc::from_nanos(row["cap_spent"].as<std::int64_t>()),
            .reserved = Usdc::from_nanos(row["cap_reserved"].as<std::int64_t>()),
            .resets_at = time_of(row["resets_at"])};
}

}  // namespace

nlohmann::json to_json(const ReserveCommand& command) {
    nlohmann::json object{{"transaction", command.transaction.str()},
                          {"request", command.request.str()},
                          {"agent", command.agent.str()},
                          {"caid", command.caid.str()},
                          {"policy_version", command.policy_version},
                          {"amount", command.amount.nanos()},
                          {"token", command.token},
                          {"jti", command.jti},
                          {"exp", command.token_exp},
                          {"session", command.session},
                          {"ref", text_or_null(command.ref)},
                          {"scheme", command.scheme},
                          {"host", command.host},
                          {"port", command.port},
                          {"method", command.method},
                          {"model", text_or_null(command.model)}};
    if (command.decision) object["decision"] = info(*command.decision).name;
    if (command.token_max) object["token_max"] = command.token_max->nanos();
    return object;
}

nlohmann::json to_json(const EndCommand& command) {
    return {{"transaction", command.transaction.str()},
            {"agent", command.agent.str()},
            {"day",
             command.day == unknown_day ? nlohmann::json(nullptr) : nlohmann::json(format_day(command.day))},
            {"ending", command.ending == Ending::settled ? "settled" : "released"},
            {"amount", command.amount.nanos()},
            {"unknown", command.unknown},
            {"reason", text_or_null(command.reason)},
            {"model", text_or_null(command.model)}};
}

nlohmann::json to_json(const RefusalRecord& record) {
    return {{"transaction", record.transaction.str()},
            {"agent", record.agent.str()},
            {"caid", record.caid.str()},
            {"code", info(record.code).name},
            {"amount", record.amount.nanos()},
            {"policy_version", record.policy_version},
            {"jti", record.jti},
            {"ref", text_or_null(record.ref)},
            {"host", record.host},
            {"method", record.method},
            {"model", text_or_null(record.model)},
            {"at", format_time(record.at)}};
}

std::string to_parameter(const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ReserveAnswer to_answer(const pqxx::row& row, const ReserveCommand& command) {
    const auto outcome = row["outcome"].as<std::string>();
    if (outcome == "reserved") {
        const auto day = parse_day(row["day"].as<std::string>());
        if (!day) throw std::runtime_error{"the ledger reserved for no day"};
        return Reserved{command.transaction, command.agent, *day, command.amount};
    }
    if (outcome == "stale") {
        return StalePolicy{{command.agent, row["policy_version"].as<std::int32_t>(),
                            row["policy_document"].as<std::string>()}};
    }
    const auto code = refusal_from_name(row["code"].as<std::string>());
    if (outcome != "refused" || !code) throw std::runtime_error{"the ledger answered an unknown outcome"};
    return ReserveRefused{*code, row["cap"].is_null() ? std::nullopt : std::optional{cap_of(row)}};
}

}  // namespace nomiqon::ledger
