#pragma once

// Between the ledger's commands and the JSON and rows of migrations/0002_reserve.sql.

#include <nlohmann/json.hpp>
#include <pqxx/result>
#include <string>

#include "nomiqon/ledger/ledger.h"

namespace nomiqon::ledger {

/// A reservation whose day is not known is looked up by its id alone.
inline constexpr Day unknown_day{};

[[nodiscard]] nlohmann::json to_json(const ReserveCommand& command);
[[nodiscard]] nlohmann::json to_json(const EndCommand& command);
[[nodiscard]] nlohmann::json to_json(const RefusalRecord& record);
/// As text for a parameter. What is no UTF-8 (no caller's value can be) is replaced rather than thrown at.
[[nodiscard]] std::string to_parameter(const nlohmann::json& value);

/// A row of nomiqon.work. Throws std::runtime_error when the database answers what it can't.
[[nodiscard]] ReserveAnswer to_answer(const pqxx::row& row, const ReserveCommand& command);

}  // namespace nomiqon::ledger
