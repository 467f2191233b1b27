#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json_fwd.hpp>

#include "nomiqon/core/refusal.h"

namespace nomiqon::metering {

/// The fewest write units of any write; also what it takes to delete a whole namespace.
inline constexpr std::int64_t least_write_units = 5;

// The write units that a request costs at most (rule 14). Pinecone's answers to writes don't tell them.
// Refusals: `bad_request`, and `price_unknown` for what a filter selects.

[[nodiscard]] std::expected<std::int64_t, Refusal> upsert_units(const nlohmann::json& request);
[[nodiscard]] std::expected<std::int64_t, Refusal> update_units(const nlohmann::json& request);
[[nodiscard]] std::expected<std::int64_t, Refusal> delete_units(const nlohmann::json& request);

}  // namespace nomiqon::metering
