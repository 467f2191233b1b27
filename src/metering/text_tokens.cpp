#include "text_tokens.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace nomiqon::metering {

namespace {

/// Compatibility characters that NFKC, which Claude's published tokenizer applies first, makes longer; with
/// the most bytes that one of them becomes. Without them a byte of text could be several tokens.
struct Expansion {
    std::uint32_t first;
    std::uint32_t last;
    std::int64_t bytes;
};
constexpr auto expansions = std::to_array<Expansion>({
    {0x00A8, 0x00BE, 6},    {0x0132, 0x0149, 4},   {0x01C4, 0x01F3, 4},    {0x0344, 0x0385, 5},
    {0x0958, 0x095F, 6},    {0x09DC, 0x09DF, 6},   {0x0A33, 0x0A5E, 6},    {0x0B5C, 0x0B5D, 6},
    {0x0E33, 0x0E33, 6},    {0x0EB3, 0x0EB3, 6},   {0x0EDC, 0x0EDD, 6},    {0x0F43, 0x0FB9, 9},
    {0x1FBD, 0x1FFE, 9},    {0x2033, 0x203C, 9},   {0x2047, 0x2057, 12},   {0x20A8, 0x218F, 12},
    {0x222C, 0x2230, 9},    {0x2460, 0x24FF, 4},   {0x2A0C, 0x2ADC, 12},   {0x3200, 0x33FF, 18},
    {0xFB00, 0xFB4F, 9},    {0xFB50, 0xFDEF, 12},  {0xFDF0, 0xFDFF, 33},   {0xFE49, 0xFEFF, 9},
    {0x1D15E, 0x1D1C0, 12}, {0x1F100, 0x1F1FF, 8}, {0x1F200, 0x1F2FF, 12},
});

/// The character at the start of valid UTF-8, and its length.
std::pair<std::uint32_t, std::size_t> decode(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t i = 1; i < std::min(length, text.size()); ++i) {
        point = (point << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    return {point, std::min(length, text.size())};
}

/// Of a string within JSON that the model reads as JSON: its escapes are text, and all that isn't ASCII may
/// be one.
std::int64_t escaped_tokens(std::string_view text) {
    constexpr std::int64_t escape = 6;
    std::int64_t tokens = 2;
    while (!text.empty()) {
        const auto [point, length] = decode(text);
        const bool plain = point >= 0x20 && point < 0x7F && point != '"' && point != '\\';
        tokens += plain ? 1 : point > 0xFFFF ? 2 * escape : escape;
        text.remove_prefix(length);
    }
    return tokens;
}

}  // namespace

std::int64_t text_tokens(std::string_view text) {
    std::int64_t tokens = 0;
    while (!text.empty()) {
        const auto [point, length] = decode(text);
        const auto behind = std::ranges::upper_bound(expansions, point, {}, &Expansion::first);
        const Expansion* found = behind == expansions.begin() ? nullptr : std::prev(behind);
        const auto bytes = static_cast<std::int64_t>(length);
        tokens += found == nullptr || point > found->last ? bytes : std::max(bytes, found->bytes);
        text.remove_prefix(length);
    }
    return tokens;
}

std::int64_t json_tokens(const nlohmann::json& value, bool escaped) {
    const auto string = [&](std::string_view text) {
        return escaped ? escaped_tokens(text) : text_tokens(text) + 2;
    };
    if (value.is_string()) return string(value.get_ref<const std::string&>());
    if (!value.is_structured()) return static_cast<std::int64_t>(value.dump().size());
    std::int64_t tokens = 2;
    for (const auto& item : value.items()) {
        // Some renderings have spaces behind colon and comma.
        tokens += 2 + json_tokens(item.value(), escaped);
        if (value.is_object()) tokens += 2 + string(item.key());
    }
    return tokens;
}

}  // namespace nomiqon::metering
