#include "input.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <vector>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::admin {
namespace {

constexpr std::size_t most_metadata_pairs = 32;
constexpr std::size_t longest_metadata_key = 64;
constexpr std::size_t longest_metadata_value = 512;  // bytes

std::vector<std::string_view> words(std::string_view names) {
    std::vector<std::string_view> result;
    for (const auto part : std::views::split(names, ' ')) {
        if (!part.empty()) result.emplace_back(part.begin(), part.end());
    }
    return result;
}

bool is_one_of(std::string_view name, const std::vector<std::string_view>& names) {
    return std::ranges::find(names, name) != names.end();
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known) {
    auto message = fmt::format("unknown {} {}", what, in_backticks(name));
    if (const auto nearest = nearest_name(name, known)) return message + "; did you mean `" + *nearest + "`?";
    if (known.empty()) return message + "; this call takes none";
    return message + fmt::format("; there are: {}", fmt::join(known, ", "));
}

bool is_metadata_key(std::string_view key) {
    return !key.empty() && key.size() <= longest_metadata_key && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_';
    });
}

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

/// Where U+0000 stands, which JSON may hold and PostgreSQL may not.
std::optional<std::string> find_nul(const json& value, const std::string& pointer) {
    if (value.is_string() && value.get_ref<const std::string&>().contains('\0')) return pointer;
    if (!value.is_structured()) return std::nullopt;
    for (const auto& item : value.items()) {
        const auto place = pointer + '/' + json_pointer_token(item.key());
        if (value.is_object() && item.key().contains('\0')) return pointer;
        if (auto found = find_nul(item.value(), place)) return found;
    }
    return std::nullopt;
}

/// U+0000–001F and U+007F–009F.
bool has_control_character(std::string_view utf8) {
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto c = static_cast<unsigned char>(utf8[i]);
        if (c < 0x20 || c == 0x7f) return true;
        if (c == 0xc2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xa0) return true;
    }
    return false;
}

std::size_t count_characters(std::string_view utf8) {
    return static_cast<std::size_t>(
        std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Years that every part here can write.
bool is_plausible(Time time) {
    return time >= Time{Day{std::chrono::year{1970} / 1 / 1}} &&
           time < Time{Day{std::chrono::year{9999} / 1 / 1}};
}

Result<void> read_instant(const Query& query, std::string_view name, std::chrono::days after_a_date,
                          json& arguments) {
    const auto found = query.find(name);
    if (found == query.end()) return {};
    std::optional<Time> time;
    if (const auto day = parse_day(found->second)) {
        time = Time{*day + after_a_date};
    } else {
        time = parse_time(found->second);
    }
    if (!time || !is_plausible(*time)) {
        return std::unexpected(validation_error(
            "must be a date (2026-05-24) or a time (2026-05-24T12:00:00Z)", '/' + std::string{name}));
    }
    arguments[std::string{name}] = format_time(*time);
    return {};
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const auto high = hex_digit(text[i + 1]);
            const auto low = hex_digit(text[i + 2]);
            if (!high || !low) return std::nullopt;
            decoded += static_cast<char>(*high * 16 + *low);
            i += 2;
        } else {
            decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    if (!is_utf8(decoded) || decoded.contains('\0')) return std::nullopt;
    return decoded;
}

Result<Query> read_query(std::string_view text, std::string_view names) {
    const auto known = words(names);
    const bool any_metadata = is_one_of("metadata.*", known);
    Query query;
    for (const auto part : std::views::split(text, '&')) {
        const std::string_view pair{part.begin(), part.end()};
        if (pair.empty()) continue;
        const auto equals = std::min(pair.find('='), pair.size());
        auto name = percent_decode(pair.substr(0, equals), true);
        auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
        if (!name || !value)
            return std::unexpected(validation_error("a query parameter is not well written", ""));
        const bool is_metadata = any_metadata && name->starts_with("metadata.");
        if (is_metadata ? !is_metadata_key(name->substr(9)) : !is_one_of(*name, known)) {
            return std::unexpected(validation_error(unknown_name("query parameter", *name, known),
                                                    '/' + json_pointer_token(*name)));
        }
        const auto param = '/' + json_pointer_token(*name);
        if (!query.emplace(*std::move(name), *std::move(value)).second) {
            return std::unexpected(validation_error("is there twice", param));
        }
    }
    return query;
}

Result<json> read_body(std::string_view text, std::string_view names) {
    if (text.empty()) return json::object();
    auto body = parse_strict_json(text);
    if (!body) {
        const auto& problem = body.error();
        const auto place = problem.line == 0
                               ? std::string{}
                               : fmt::format(" (line {}, column {})", problem.line, problem.column);
        return std::unexpected(
            validation_error("the body is no JSON: " + problem.message + place, problem.pointer));
    }
    if (!body->is_object()) return std::unexpected(validation_error("the body must be a JSON object", ""));
    if (auto place = find_nul(*body, "")) {
        return std::unexpected(validation_error("U+0000 can't be stored", *std::move(place)));
    }
    if (names == "*") return *std::move(body);
    const auto known = words(names);
    for (const auto& item : body->items()) {
        if (!is_one_of(item.key(), known)) {
            return std::unexpected(validation_error(unknown_name("member", item.key(), known),
                                                    '/' + json_pointer_token(item.key())));
        }
    }
    return *std::move(body);
}

Result<std::optional<std::string>> read_text(const json& body, std::string_view name, TextRule rule) {
    const auto found = body.find(name);
    if (found == body.end() || found->is_null()) return std::nullopt;
    const auto param = '/' + std::string{name};
    if (!found->is_string()) return std::unexpected(validation_error("must be a string", param));
    const auto& text = found->get_ref<const std::string&>();
    const auto length = count_characters(text);
    if (length < rule.min || length > rule.max) {
        return std::unexpected(
            validation_error(fmt::format("must have {} to {} characters", rule.min, rule.max), param));
    }
    if (has_control_character(text)) {
        return std::unexpected(validation_error("must have no control characters", param));
    }
    return text;
}

Result<std::string> require_text(const json& body, std::string_view name, TextRule rule) {
    auto text = read_text(body, name, rule);
    if (!text) return std::unexpected(text.error());
    if (!*text) return std::unexpected(validation_error("is required", '/' + std::string{name}));
    return **std::move(text);
}

Result<json> read_metadata(const json& body, Nulls nulls) {
    const auto found = body.find("metadata");
    json metadata = json::object();
    if (found == body.end() || found->is_null()) return metadata;
    if (!found->is_object())
        return std::unexpected(validation_error("must be an object of strings", "/metadata"));
    for (const auto& item : found->items()) {
        const auto place = "/metadata/" + json_pointer_token(item.key());
        if (!is_metadata_key(item.key())) {
            return std::unexpected(validation_error("a key has 1 to 64 letters, digits, `-`, `_`", place));
        }
        const json& value = item.value();
        if (value.is_null() && nulls == Nulls::drop) continue;
        if (!value.is_null() &&
            (!value.is_string() || value.get_ref<const std::string&>().size() > longest_metadata_value)) {
            return std::unexpected(validation_error("must be a string of at most 512 bytes", place));
        }
        metadata[item.key()] = value;
    }
    const auto pairs = std::ranges::count_if(metadata, [](const json& value) { return !value.is_null(); });
    if (static_cast<std::size_t>(pairs) > most_metadata_pairs) {
        return std::unexpected(validation_error("metadata has at most 32 pairs", "/metadata"));
    }
    return metadata;
}

Result<void> read_range(const Query& query, json& arguments) {
    if (auto from = read_instant(query, "from", std::chrono::days{0}, arguments); !from) return from;
    if (auto to = read_instant(query, "to", std::chrono::days{1}, arguments); !to) return to;
    if (arguments.contains("from") && arguments.contains("to") &&
        arguments["from"].get_ref<const std::string&>() > arguments["to"].get_ref<const std::string&>()) {
        return std::unexpected(validation_error("is before `from`", "/to"));
    }
    return {};
}

}  // namespace nomiqon::admin
