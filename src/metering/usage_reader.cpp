#include "usage_reader.h"

#include <nlohmann/json.hpp>

namespace nomiqon::metering {

namespace {

/// More tokens than any answer has by a factor of a thousand; what is above is a lie or a mistake.
constexpr std::int64_t largest_counter = 1'000'000'000;

}  // namespace

std::optional<std::int64_t> read_counter(const nlohmann::json& object, std::string_view name,
                                         Reported& reported) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return std::nullopt;
    if (found->is_number_unsigned() && found->get<std::uint64_t>() <= std::uint64_t{largest_counter}) {
        return found->get<std::int64_t>();
    }
    reported.unpriced = "the counter " + std::string{name} + " is no sensible number";
    return std::nullopt;
}

std::string read_name(const nlohmann::json& object, std::string_view name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

}  // namespace nomiqon::metering
