#include "request_reader.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include "content_coding.h"
#include "nomiqon/core/strict_json.h"

namespace nomiqon::metering {
namespace {

// Tool schemas nest; every level is an object of the document, so there must be some end.
constexpr std::size_t max_depth = 128;
// The largest batches of embeddings and of vectors have half as many.
constexpr std::size_t max_values = 1'000'000;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view value) {
    const auto first = value.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return value.substr(first, value.find_last_not_of(" \t") - first + 1);
}

/// What remains of a member's name when case and word separators don't count.
std::string folded(std::string_view name) {
    std::string result;
    for (const char c : name) {
        if (c != '_' && c != '-') result += lower(c);
    }
    return result;
}

/// A charset that isn't UTF-8 would make other text of the same bytes (RFC 8259, section 8.1, has no other).
std::expected<void, Refusal> check_charset(std::span<const Field> fields) {
    std::string type{field_value(fields, "content-type")};
    std::ranges::transform(type, type.begin(), lower);
    const auto charset = type.find("charset");
    if (charset == std::string::npos) return {};
    const std::string rest = type.substr(charset);
    if (rest.find("utf-8") != std::string::npos || rest.find("utf8") != std::string::npos) return {};
    return std::unexpected(bad_request("the body's charset is not UTF-8"));
}

std::size_t skip_space(std::string_view text, std::size_t at) {
    return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

/// Behind the string that starts at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\') ++at;
    }
    return std::min(at + 1, text.size());
}

/// Behind the value that starts at `at`, in JSON that was parsed before.
std::size_t skip_value(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = skip_string(text, at);
            if (depth == 0) return at;
            continue;
        }
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') {
            if (depth == 0) return at;  // the end of what the value, a number or a word, stands in
            if (--depth == 0) return at + 1;
        }
        if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n')) return at;
        ++at;
    }
    return at;
}

/// Where the value of the object's member `name` stands in `text`; nothing: it has none.
std::optional<std::pair<std::size_t, std::size_t>> find_member(std::string_view text, std::string_view name) {
    std::size_t at = skip_space(text, 0) + 1;  // behind the brace
    for (;;) {
        at = skip_space(text, at);
        if (at >= text.size() || text[at] != '"') return std::nullopt;
        const std::size_t key_end = skip_string(text, at);
        // A key may be written with escapes.
        const auto key =
            nlohmann::json::parse(text.substr(at, key_end - at), nullptr, /*allow_exceptions=*/false);
        const std::size_t value = skip_space(text, skip_space(text, key_end) + 1);
        const std::size_t value_end = skip_value(text, value);
        if (key.is_string() && key.get_ref<const std::string&>() == name) return std::pair{value, value_end};
        at = skip_space(text, value_end);
        if (at >= text.size() || text[at] != ',') return std::nullopt;
        ++at;
    }
}

}  // namespace

Refusal bad_request(std::string detail) {
    return {.code = RefusalCode::bad_request, .detail = std::move(detail)};
}

Refusal price_unknown(std::string detail) {
    return {.code = RefusalCode::price_unknown, .detail = std::move(detail)};
}

bool overrides_request(std::string_view field_name) {
    constexpr auto overriding = std::to_array<std::string_view>(
        {"x-http-method-override", "x-http-method", "x-method-override", "x-method", "x-original-url",
         "x-original-uri", "x-original-method", "x-rewrite-url", "x-forwarded-method", "x-forwarded-uri",
         "x-forwarded-path"});
    return std::ranges::any_of(overriding, [&](std::string_view known) {
        return std::ranges::equal(field_name, known,
                                  [](char c, char k) { return (c == '_' ? '-' : lower(c)) == k; });
    });
}

std::string_view field_value(std::span<const Field> fields, std::string_view name) {
    for (const Field& field : fields) {
        if (same_name(field.name, name)) return trimmed(field.value);
    }
    return {};
}

std::expected<void, Refusal> check_fields(std::span<const Field> fields) {
    constexpr auto read_once = std::to_array<std::string_view>({"content-encoding", "content-type"});
    for (const Field& field : fields) {
        const auto is_this = [&](std::string_view name) { return same_name(field.name, name); };
        if (overrides_request(field.name)) {
            return std::unexpected(bad_request("a header field overrides the method or the path"));
        }
        if (std::ranges::any_of(read_once, is_this) &&
            field_value(fields, field.name) != trimmed(field.value)) {
            return std::unexpected(bad_request("a header field is there twice with different values"));
        }
    }
    return {};
}

std::expected<std::string, Refusal> read_body(const Call& call, std::size_t limit) {
    const auto decoder = Decoder::make(field_value(call.fields, "content-encoding"));
    if (!decoder)
        return std::unexpected(bad_request("the body's Content-Encoding is none that is read here"));
    std::string body;
    if (const auto result = decoder->read(call.body, body, limit); !result) {
        if (result.error() == CodingProblem::too_large) {
            return std::unexpected(Refusal{.code = RefusalCode::request_too_large,
                                           .detail = "the body is larger than the limit when it is decoded"});
        }
        return std::unexpected(bad_request("the body is not what its Content-Encoding says"));
    }
    if (!decoder->finished()) return std::unexpected(bad_request("the body's content coding ends too early"));
    return body;
}

std::expected<nlohmann::json, Refusal> read_json_body(const Call& call, std::size_t limit,
                                                      std::string& body) {
    if (auto charset = check_charset(call.fields); !charset)
        return std::unexpected(std::move(charset.error()));
    auto decoded = read_body(call, limit);
    if (!decoded) return std::unexpected(std::move(decoded.error()));
    body = std::move(*decoded);
    auto document = parse_strict_json(body, {.max_depth = max_depth, .max_values = max_values});
    if (!document) return std::unexpected(bad_request("the body can't be read: " + document.error().message));
    if (!document->is_object()) return std::unexpected(bad_request("the body is no JSON object"));
    return std::move(*document);
}

std::expected<void, Refusal> check_spelling(const nlohmann::json& object,
                                            std::span<const std::string_view> names) {
    if (!object.is_object()) return {};
    std::map<std::string, bool, std::less<>> wanted;  // folded name → whether it came
    for (const std::string_view name : names)
        wanted.emplace(folded(name), false);
    for (const auto& [key, value] : object.items()) {
        const auto found = wanted.find(folded(key));
        if (found == wanted.end()) continue;
        if (found->second || std::ranges::find(names, key) == names.end()) {
            return std::unexpected(bad_request("a member's name can be taken for " + found->first));
        }
        found->second = true;
    }
    return {};
}

std::expected<std::optional<std::int64_t>, Refusal> read_limit(const nlohmann::json& object,
                                                               std::string_view name) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return std::nullopt;
    const bool fits =
        found->is_number_unsigned()
            ? found->get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}
            : found->is_number_integer() && found->get<std::int64_t>() >= 0;
    if (!fits) return std::unexpected(bad_request(std::string{name} + " is no non-negative integer"));
    return found->get<std::int64_t>();
}

void set_member(std::string& body, std::string_view name, std::string_view value) {
    if (const auto place = find_member(body, name)) {
        body.replace(place->first, place->second - place->first, value);
        return;
    }
    const std::size_t inside = body.find('{') + 1;
    const bool empty = body[skip_space(body, inside)] == '}';
    std::string member = nlohmann::json(name).dump() + ':';
    member += value;
    if (!empty) member += ',';
    body.insert(inside, member);
}

}  // namespace nomiqon::metering
