#include "basis.h"

#include <nlohmann/json.hpp>

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::ordered_json;

Json write_terms(const ModelPrice& price, const Terms& terms) {
    Json written = Json::object();
    if (const auto tier = canonical_tier(terms.service_tier); tier != "default") written["tier"] = tier;
    if (terms.fast) written["fast"] = true;
    // Only what changes the price: a region that the entry has nothing on may be any text of the provider's.
    if (price.has_region(terms.region)) written["region"] = terms.region;
    return written;
}

Json write_usage(const Usage& usage) {
    Json written = Json::object();
    for (std::size_t i = 0; i < counters; ++i) {
        const auto counter = static_cast<Counter>(i);
        if (const auto count = count_of(usage, counter); count != 0)
            written[std::string{name_of(counter)}] = count;
    }
    Json items = Json::object();
    for (const auto& [item, count] : usage.items)
        if (count != 0) items[item] = count;
    if (!items.empty()) written["items"] = std::move(items);
    return written;
}

std::string one_line(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Usdc> times(Usdc fee, std::int64_t count) {
    std::int64_t nanos = 0;
    if (count < 0 || fee < Usdc{} || __builtin_mul_overflow(fee.nanos(), count, &nanos)) return std::nullopt;
    return Usdc::from_nanos(nanos);
}

// Reading: what isn't exactly as it was written is no basis, so each of these gives nothing at the first
// doubt.

std::optional<std::int64_t> read_count(const Json& value) {
    if (!value.is_number_integer() || value < 0) return std::nullopt;
    return value.get<std::int64_t>();
}

std::optional<Usdc> read_amount(const Json& value) {
    return value.is_string() ? Usdc::parse(value.get_ref<const std::string&>()) : std::nullopt;
}

std::optional<Terms> read_terms(const Json& value) {
    if (!value.is_object()) return std::nullopt;
    Terms terms;
    for (const auto& [name, member] : value.items()) {
        if (name == "fast" && member.is_boolean()) {
            terms.fast = member.get<bool>();
        } else if ((name == "tier" || name == "region") && member.is_string()) {
            (name == "tier" ? terms.service_tier : terms.region) = member.get<std::string>();
        } else {
            return std::nullopt;
        }
    }
    return terms;
}

std::optional<Usage> read_usage(const Json& value) {
    if (!value.is_object()) return std::nullopt;
    Usage usage;
    for (const auto& [name, member] : value.items()) {
        if (name == "items") {
            if (!member.is_object()) return std::nullopt;
            for (const auto& [item, times_used] : member.items()) {
                const auto count = read_count(times_used);
                if (!count) return std::nullopt;
                usage.items[item] = *count;
            }
            continue;
        }
        const auto counter = find_counter(name);
        const auto count = read_count(member);
        if (!counter || !count) return std::nullopt;
        set_count(usage, *counter, *count);
    }
    return usage;
}

std::optional<PricedPass> read_pass(const Json& value, const PriceBook& book) {
    if (!value.is_object() || value.size() > 3 || !value.contains("entry") || !value["entry"].is_string())
        return std::nullopt;
    const auto* const price = book.entry(value["entry"].get_ref<const std::string&>());
    const auto terms = value.contains("terms") ? read_terms(value["terms"]) : Terms{};
    const auto usage = value.contains("usage") ? read_usage(value["usage"]) : std::nullopt;
    if (price == nullptr || !terms || !usage) return std::nullopt;
    return PricedPass{.price = price, .terms = *terms, .usage = *usage};
}

std::optional<RouteFee> read_fee(const Json& value) {
    if (!value.is_object() || value.size() != 3 || !value.contains("item") || !value["item"].is_string() ||
        !value.contains("count") || !value.contains("fee"))
        return std::nullopt;
    const auto count = read_count(value["count"]);
    const auto fee = read_amount(value["fee"]);
    if (!count || !fee) return std::nullopt;
    return RouteFee{.item = value["item"].get<std::string>(), .count = *count, .fee = *fee};
}

template <class Row, class Read>
std::optional<std::vector<Row>> read_rows(const Json& basis, const char* name, Read read) {
    std::vector<Row> rows;
    if (!basis.contains(name)) return rows;
    if (!basis[name].is_array()) return std::nullopt;
    for (const auto& value : basis[name]) {
        auto row = read(value);
        if (!row) return std::nullopt;
        rows.push_back(*std::move(row));
    }
    return rows;
}

bool has_only(const Json& object, std::initializer_list<std::string_view> names) {
    for (const auto& [name, value] : object.items())
        if (std::ranges::find(names, std::string_view{name}) == names.end()) return false;
    return true;
}

}  // namespace

std::expected<Usdc, std::string> total(std::span<const PricedPass> passes, std::span<const RouteFee> fees) {
    Usdc sum;
    const auto add = [&](Usdc amount) {
        const auto larger = sum.plus(amount);
        if (larger) sum = *larger;
        return larger.has_value();
    };
    const std::unexpected<std::string> too_much{"the price is beyond what can be paid"};
    for (const auto& pass : passes) {
        const auto cost = price(*pass.price, pass.usage, pass.terms);
        if (!cost) return cost;
        if (!add(*cost)) return too_much;
    }
    for (const auto& fee : fees) {
        const auto cost = times(fee.fee, fee.count);
        if (!cost || !add(*cost)) return too_much;
    }
    return sum;
}

std::string write_basis(const PriceBook& book, std::span<const PricedPass> passes,
                        std::span<const RouteFee> fees, std::optional<Usdc> least) {
    Json basis{{"book", book.version()}};
    Json written = Json::array();
    for (const auto& pass : passes) {
        if (pass.price == nullptr || !price(*pass.price, pass.usage, pass.terms)) continue;
        Json row{{"entry", pass.price->key()}};
        if (Json terms = write_terms(*pass.price, pass.terms); !terms.empty())
            row["terms"] = std::move(terms);
        row["usage"] = write_usage(pass.usage);
        written.push_back(std::move(row));
    }
    if (!written.empty()) basis["passes"] = std::move(written);
    for (const auto& fee : fees)
        if (fee.count != 0)
            basis["fees"].push_back({{"item", fee.item}, {"count", fee.count}, {"fee", fee.fee.to_string()}});
    if (least) basis["least"] = least->to_string();
    return one_line(basis);
}

std::string flat_basis(Usdc amount) {
    return one_line({{"flat", amount.to_string()}});
}
std::string stated_basis(Usdc amount) {
    return one_line({{"stated", amount.to_string()}});
}

std::optional<Usdc> recompute(std::string_view basis, const PriceBook& book) {
    const Json json = Json::parse(basis, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    for (const char* const fixed : {"flat", "stated"})
        if (json.contains(fixed)) return json.size() == 1 ? read_amount(json[fixed]) : std::nullopt;
    if (!has_only(json, {"book", "passes", "fees", "least"}) || !json.contains("book") ||
        json["book"] != book.version())
        return std::nullopt;
    const auto passes =
        read_rows<PricedPass>(json, "passes", [&](const Json& value) { return read_pass(value, book); });
    const auto fees = read_rows<RouteFee>(json, "fees", read_fee);
    if (!passes || !fees) return std::nullopt;
    const auto sum = total(*passes, *fees);
    if (!sum) return std::nullopt;
    if (!json.contains("least")) return *sum;
    const auto least = read_amount(json["least"]);
    return least ? std::optional{std::max(*sum, *least)} : std::nullopt;
}

}  // namespace nomiqon::metering
