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

/// What the database calls the types of a batch's rows. Another number in every database.
struct WorkTypes {
    std::uint32_t ending = 0;
    std::uint32_t request = 0;
};
[[nodiscard]] WorkTypes read_work_types(pqxx::transaction_base& transaction);

/// What a batch carries of a request, whatever batch that will be. Made before the request waits for its
/// turn, so that the database doesn't wait for it.
[[nodiscard]] std::string encode(const ReserveCommand& command);

/// Hands a batch to nomiqon.work (migrations/0002_reserve.sql): its answer as rows. `now` is what the
/// requests' `wait_until` is compared with. Throws what pqxx throws.
[[nodiscard]] pqxx::result send_work(pqxx::transaction_base& transaction, const WorkTypes& types,
                                     const std::string& gateway, const Batch& batch, Steady::time_point now);
/// What the rows say. Throws std::runtime_error for an answer that makes no sense.
[[nodiscard]] BatchAnswer read_answer(const pqxx::result& rows, const Batch& batch);

[[nodiscard]] nlohmann::json to_json(const RefusalRecord& record);
/// JSON as a parameter: what isn't UTF-8 is replaced, since a strange byte in a header must not lose money.
[[nodiscard]] std::string to_parameter(const nlohmann::json& value);

}  // namespace nomiqon::ledger
