#include "pinecone_units.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "request_reader.h"

// https://docs.pinecone.io/guides/manage-cost/understanding-cost: a write unit is 1 KB (1000 bytes) of what
// is written and of what was there before, with at least 5 a request. A record's size is its id, its
// metadata, 4 bytes for each dimension and 8 for each sparse value;
// https://docs.pinecone.io/reference/api/database-limits says how large each may be.

namespace nomiqon::metering {

namespace {

using nlohmann::json;
using Units = std::expected<std::int64_t, Refusal>;

constexpr std::int64_t unit_bytes = 1000;
constexpr std::int64_t dimension_bytes = 4;
constexpr std::int64_t sparse_value_bytes = 8;

constexpr std::int64_t largest_id = 512;
constexpr std::int64_t largest_metadata = 40 * 1024;
constexpr std::int64_t largest_dense = 20'000 * dimension_bytes;
constexpr std::int64_t largest_sparse = 2'048 * sparse_value_bytes;
constexpr std::int64_t largest_record = largest_id + largest_metadata + largest_dense + largest_sparse;

constexpr auto upsert_members = std::to_array<std::string_view>({"vectors", "namespace"});
constexpr auto record_members = std::to_array<std::string_view>({"id", "values", "sparseValues", "metadata"});
constexpr auto sparse_members = std::to_array<std::string_view>({"indices", "values"});
constexpr auto update_members =
    std::to_array<std::string_view>({"id", "values", "sparseValues", "setMetadata", "filter", "namespace"});
constexpr auto delete_members = std::to_array<std::string_view>({"ids", "deleteAll", "filter", "namespace"});

std::int64_t units_of(std::int64_t bytes) {
    return std::max(least_write_units, bytes / unit_bytes + (bytes % unit_bytes == 0 ? 0 : 1));
}

std::int64_t text_bytes(const json& value) {
    return static_cast<std::int64_t>(value.dump(-1, ' ', false, json::error_handler_t::replace).size());
}

bool is_given(const json& object, std::string_view name) {
    const auto found = object.find(name);
    return found != object.end() && !found->is_null();
}

/// How long a list is; 0: it isn't there.
Units list_length(const json& object, std::string_view name) {
    if (!is_given(object, name)) return 0;
    const json& list = *object.find(name);
    if (!list.is_array()) return std::unexpected(bad_request(std::string{name} + " is no list"));
    return static_cast<std::int64_t>(list.size());
}

Units sparse_bytes(const json& record) {
    if (!is_given(record, "sparseValues")) return 0;
    const json& sparse = *record.find("sparseValues");
    if (!sparse.is_object()) return std::unexpected(bad_request("sparseValues is no object"));
    if (auto checked = check_spelling(sparse, sparse_members); !checked) {
        return std::unexpected(checked.error());
    }
    const auto indices = list_length(sparse, "indices");
    if (!indices) return indices;
    const auto values = list_length(sparse, "values");
    if (!values) return values;
    return std::max(*indices, *values) * sparse_value_bytes;
}

Units record_bytes(const json& record) {
    if (!record.is_object()) return std::unexpected(bad_request("a record is no object"));
    if (auto checked = check_spelling(record, record_members); !checked) {
        return std::unexpected(checked.error());
    }
    const auto dimensions = list_length(record, "values");
    if (!dimensions) return dimensions;
    const auto sparse = sparse_bytes(record);
    if (!sparse) return sparse;
    std::int64_t bytes = *dimensions * dimension_bytes + *sparse;
    for (const auto& member : record.items()) {
        if (member.key() == "values" || member.key() == "sparseValues") continue;
        bytes += text_bytes(member.value());
    }
    return bytes;
}

}  // namespace

/// What was there before can't be seen from here. Every record is counted twice, as if it replaced one of its
/// own size: so whatever is written here has paid for its own replacement before that comes.
Units upsert_units(const json& request) {
    if (auto checked = check_spelling(request, upsert_members); !checked) {
        return std::unexpected(checked.error());
    }
    const auto records = request.find("vectors");
    if (records == request.end() || !records->is_array()) {
        return std::unexpected(bad_request("vectors is no list"));
    }
    std::int64_t bytes = 0;
    for (const json& record : *records) {
        const auto size = record_bytes(record);
        if (!size) return size;
        bytes += 2 * *size;
    }
    return units_of(bytes);
}

/// The record as it was and as it becomes: what the request doesn't say of it is as large as it may be.
Units update_units(const json& request) {
    if (auto checked = check_spelling(request, update_members); !checked) {
        return std::unexpected(checked.error());
    }
    if (is_given(request, "filter")) {
        return std::unexpected(price_unknown("an update of all that a filter selects"));
    }
    if (!is_given(request, "id")) return std::unexpected(bad_request("an update without an id"));
    const auto dimensions = list_length(request, "values");
    if (!dimensions) return dimensions;
    const auto sparse = sparse_bytes(request);
    if (!sparse) return sparse;
    const std::int64_t dense = *dimensions > 0 ? *dimensions * dimension_bytes : largest_dense;
    const std::int64_t before = largest_id + largest_metadata + dense + largest_sparse;
    const std::int64_t after = largest_id + largest_metadata + dense + std::max(*sparse, largest_sparse);
    return units_of(before + after);
}

Units delete_units(const json& request) {
    if (auto checked = check_spelling(request, delete_members); !checked) {
        return std::unexpected(checked.error());
    }
    if (is_given(request, "filter")) {
        return std::unexpected(price_unknown("a deletion of all that a filter selects"));
    }
    const auto all = request.find("deleteAll");
    if (all != request.end() && !all->is_null() && !all->is_boolean()) {
        return std::unexpected(bad_request("deleteAll is neither true nor false"));
    }
    const auto ids = list_length(request, "ids");
    if (!ids) return ids;
    return units_of(*ids * largest_record);
}

}  // namespace nomiqon::metering
