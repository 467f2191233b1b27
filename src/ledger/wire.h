#pragma once

#include <nlohmann/json.hpp>
#include <pqxx/result>
#include <pqxx/transaction_base>

#include "batcher.h"

namespace nomiqon::ledger {

/// The statement that `send_work` runs, prepared under the name `work`.
[[nodiscard]] constexpr const char* work_statement() {
    return "select * from nomiqon.work($1, $2::text[], $3::nomiqon.end_command[], "
           "$4::nomiqon.reserve_command[])";
}

/// Hands a batch to nomiqon.work (migrations/0002_reserve.sql): its answer as rows. `now` is what the
/// requests' `wait_until` is compared with. Throws what pqxx throws.
[[nodiscard]] pqxx::result send_work(pqxx::transaction_base& transaction, const std::string& gateway,
                                     const Batch& batch, Steady::time_point now);
/// What the rows say. Throws std::runtime_error for an answer that makes no sense.
[[nodiscard]] BatchAnswer read_answer(const pqxx::result& rows, const Batch& batch);

[[nodiscard]] nlohmann::json to_json(const RefusalRecord& record);
/// JSON as a parameter: what isn't UTF-8 is replaced, since a strange byte in a header must not lose money.
[[nodiscard]] std::string to_parameter(const nlohmann::json& value);

}  // namespace nomiqon::ledger
