#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "model_price_reader.h"
#include "nomiqon/metering/price_table.h"
#include "price_document.h"
#include "price_keys.h"

namespace nomiqon::metering {
namespace {

std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump();
}

/// The text of a value, with members in the order they have and one space after commas and colons.
std::string json_text(const RawValue& value) {
    const auto joined = [](const auto& list, char open, char close, auto&& text) {
        std::string result{open};
        for (const auto& each : list) {
            if (result.size() > 1) result += ", ";
            result += text(each);
        }
        return result + close;
    };
    switch (value.kind) {
        case RawValue::Kind::null:
            return "null";
        case RawValue::Kind::boolean:
            return value.boolean ? "true" : "false";
        case RawValue::Kind::number:
            return value.text;
        case RawValue::Kind::string:
            return json_string(value.text);
        case RawValue::Kind::array:
            return joined(value.items, '[', ']', json_text);
        case RawValue::Kind::object:
            break;
    }
    return joined(value.members, '{', '}', [](const RawMember& member) {
        return json_string(member.name) + ": " + json_text(member.value);
    });
}

bool is_zero(const RawValue& value) {
    const auto rate = value.kind == RawValue::Kind::number ? parse_rate(value.text) : std::nullopt;
    return rate && rate->units == 0;
}

/// Whether a price depends on the member, or a limit.
bool is_kept(const RawMember& member, bool free) {
    const auto& name = member.name;
    if (member.value.kind == RawValue::Kind::null) return false;
    if (is_property(name)) return member.value.kind != RawValue::Kind::boolean || member.value.boolean;
    if (parse_token_key(name) || find_item_key(name) != nullptr) return free || !is_zero(member.value);
    return name == "search_context_cost_per_query" || name == "provider_specific_entry" ||
           name == "tiered_pricing" || name == "off_peak_pricing" || parse_region_key(name).has_value();
}

std::string compact(const RawValue& entry, bool free) {
    std::vector<const RawMember*> kept;
    for (const auto& member : entry.members)
        if (is_kept(member, free)) kept.push_back(&member);
    const auto rank = [](const RawMember* member) {
        return std::pair{is_property(member->name) ? 0 : 1, std::string_view{member->name}};
    };
    std::ranges::sort(kept, {}, rank);
    RawValue result;
    result.kind = RawValue::Kind::object;
    for (const auto* member : kept)
        result.members.push_back(*member);
    return json_text(result);
}

bool matches(const std::vector<std::string>& patterns, std::string_view text) {
    return patterns.empty() || std::ranges::any_of(patterns, [&](std::string_view pattern) {
               if (pattern.ends_with('*')) return text.starts_with(pattern.substr(0, pattern.size() - 1));
               return text == pattern;
           });
}

bool wanted(const RawMember& entry, const ImportFilter& filter) {
    const RawValue* const provider = entry.value.find("litellm_provider");
    return matches(filter.models, entry.name) &&
           (filter.providers.empty() || (provider != nullptr && is_one_of(filter.providers, provider->text)));
}

}  // namespace

std::expected<Import, std::vector<PriceProblem>> import_prices(std::string_view json,
                                                               const ImportFilter& filter) {
    const auto root = read_price_document(json);
    if (!root) return std::unexpected(std::vector{root.error()});
    const auto book = PriceBook::parse(json);
    if (!book) return std::unexpected(book.error());
    Import result;
    std::map<std::string_view, std::string> lines;
    std::map<std::string_view, const RawMember*> members;
    for (const auto& entry : root->members) {
        const ModelPrice* const price = (*book)->entry(entry.name);
        if (!wanted(entry, filter)) continue;
        members.emplace(entry.name, &entry);
        if (price != nullptr) lines.emplace(entry.name, compact(entry.value, price->is_free()));
    }
    for (const auto& problem : (*book)->check())
        if (members.contains(problem.entry)) result.left_out.push_back(problem);
    for (const auto& [key, line] : lines)
        result.document += (result.document.empty() ? "{\n  " : ",\n  ") + json_string(key) + ": " + line;
    result.document += lines.empty() ? "{}\n" : "\n}\n";
    result.kept = lines.size();
    return result;
}

}  // namespace nomiqon::metering
