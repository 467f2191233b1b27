#include "nomiqon/core/suggestion.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace nomiqon {
namespace {

constexpr std::size_t longest_name = 64;

std::string folded(std::string_view name) {
    std::string result;
    for (const char c : name.substr(0, longest_name)) {
        if (c == '_' || c == '-' || c == '.') continue;
        result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return result;
}

/// Levenshtein's distance, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
    const auto wanted = folded(name);
    std::optional<std::string> best;
    // A third of the letters may differ: "hedaerBytes" is a slip, "colour" is not meant to be "color_depth".
    std::size_t best_distance = std::max<std::size_t>(wanted.size() / 3, 1) + 1;
    for (const auto candidate : candidates) {
        const auto name_of_candidate = folded(candidate);
        const auto shared = std::min(wanted.size(), name_of_candidate.size());
        // "warning" for "warn" and "addr" for "address" differ in many letters, but not in what is meant.
        const bool begins_alike = shared >= 3 && wanted.starts_with(name_of_candidate.substr(0, shared));
        const auto d = begins_alike ? std::min<std::size_t>(1, distance(wanted, name_of_candidate))
                                    : distance(wanted, name_of_candidate);
        if (d < best_distance) {
            best_distance = d;
            best = std::string(candidate);
        }
    }
    return best;
}

std::string in_backticks(std::string_view name) {
    std::size_t end = std::min(name.size(), longest_name);
    // Not inside a UTF-8 sequence: its later bytes are 10xxxxxx.
    while (end < name.size() && end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80)
        --end;
    std::string result = "`";
    for (const char c : name.substr(0, end))
        result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    if (end < name.size()) result += "…";
    return result + '`';
}

}  // namespace nomiqon
