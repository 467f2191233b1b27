// Reads the entries of an allowlist or a blocklist: a host, or
// {"host": "api.openai.com", "methods": ["POST"], "paths": ["/v1/files/*"], "models": ["gpt-4o*"]}.

#include "entry_reader.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "nomiqon/core/host_pattern.h"
#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"
#include "plain_path.h"

namespace nomiqon::policy {
namespace {

using nlohmann::json;
using Result = std::optional<PolicyProblem>;  ///< nothing: it is well

constexpr std::size_t most_entries = 10'000;
constexpr std::size_t most_methods = 32;
constexpr std::size_t most_patterns = 1'000;
constexpr std::size_t longest_pattern = 2'048;

constexpr std::array<std::string_view, 4> entry_members{"host", "methods", "paths", "models"};

struct Entry {
    HostPattern host;
    Conditions conditions;
};

/// Reads each text of a list with `read_text`, which gives the problem with one.
template <typename ReadText>
Result read_texts(const json& value, const std::string& pointer, std::size_t most,
                  const ReadText& read_text) {
    if (!value.is_array()) return PolicyProblem{pointer, "must be a list of strings"};
    if (value.empty()) return PolicyProblem{pointer, "is empty, so nothing fits; leave it out to take all"};
    if (value.size() > most) {
        return PolicyProblem{pointer, "has more than " + std::to_string(most) + " entries"};
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto place = pointer + '/' + std::to_string(i);
        if (!value[i].is_string()) return PolicyProblem{place, "must be a string"};
        const auto& text = value[i].get_ref<const std::string&>();
        if (text.size() > longest_pattern) {
            return PolicyProblem{place, "is longer than " + std::to_string(longest_pattern) + " bytes"};
        }
        if (auto problem = read_text(text)) return PolicyProblem{place, *std::move(problem)};
    }
    return std::nullopt;
}

std::optional<std::string> read_method(const std::string& text, std::vector<std::string>& methods) {
    // RFC 9110 section 5.6.2, of which methods use letters and a few more.
    const auto fits = [](char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; };
    if (text.empty() || !std::ranges::all_of(text, fits)) {
        return in_backticks(text) + " is no method in upper case, such as \"POST\"";
    }
    if (text == "CONNECT") {
        return "`CONNECT` opens a tunnel, in which no method is seen; only an entry of a host alone allows "
               "it";
    }
    methods.push_back(text);
    return std::nullopt;
}

/// A pattern's text without the star at its end, and whether there was one.
struct Starred {
    std::string_view text;
    bool star = false;
};
std::optional<Starred> split_star(std::string_view text) {
    const bool star = text.ends_with('*');
    if (star) text.remove_suffix(1);
    if (text.contains('*')) return std::nullopt;
    return Starred{.text = text, .star = star};
}

std::optional<std::string> read_path(const std::string& text, ListKind kind, TextPatterns& paths) {
    const auto pattern = split_star(text);
    const auto plain = pattern ? plain_path(pattern->text) : std::nullopt;
    if (!plain) {
        return in_backticks(text) +
               " must be a path that starts with `/`, may end with `*`, and has no query, no `.`, `..` or "
               "empty segment, and none of `*`, `;`, `\\`, `%2F`, `%25` inside";
    }
    const bool block = kind == ListKind::block;
    auto compared = block ? folded_path(*plain) : *plain;
    if (pattern->star) {
        paths.add_prefix(std::move(compared));
    } else {
        paths.add_exact(block ? std::string(without_trailing_slash(compared)) : std::move(compared));
    }
    return std::nullopt;
}

std::optional<std::string> read_model(const std::string& text, TextPatterns& models) {
    const auto pattern = split_star(text);
    const bool visible = std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
    if (text.empty() || !visible || !pattern) {
        return in_backticks(text) + " is no name of a model, which may end with `*`: \"gpt-4o-mini*\"";
    }
    if (pattern->star) {
        models.add_prefix(std::string(pattern->text));
    } else {
        models.add_exact(text);
    }
    return std::nullopt;
}

/// A member of an entry that is an object, but for its host.
Result read_condition(std::string_view name, const json& value, const std::string& pointer, ListKind kind,
                      Conditions& conditions) {
    if (name == "methods") {
        auto& methods = conditions.methods.emplace();
        return read_texts(value, pointer, most_methods,
                          [&](const std::string& text) { return read_method(text, methods); });
    }
    auto& patterns = name == "paths" ? conditions.paths.emplace() : conditions.models.emplace();
    auto problem = read_texts(value, pointer, most_patterns, [&](const std::string& text) {
        return name == "paths" ? read_path(text, kind, patterns) : read_model(text, patterns);
    });
    patterns.seal();
    return problem;
}

std::expected<HostPattern, PolicyProblem> read_host(const json& host, std::string pointer) {
    if (!host.is_string()) {
        return std::unexpected(
            PolicyProblem{std::move(pointer),
                          "must be a host in a string: \"api.openai.com\", \"*.example.com\" or \"*\""});
    }
    const auto& text = host.get_ref<const std::string&>();
    auto pattern = HostPattern::parse(text);
    if (pattern) return *std::move(pattern);
    return std::unexpected(
        PolicyProblem{std::move(pointer), in_backticks(text) + " is no host: " + pattern.error()});
}

std::expected<Entry, PolicyProblem> read_entry(const json& entry, const std::string& pointer, ListKind kind) {
    if (!entry.is_object()) {
        auto host = read_host(entry, pointer);
        if (!host) return std::unexpected(std::move(host.error()));
        return Entry{.host = *std::move(host), .conditions = {}};
    }
    Conditions conditions;
    for (const auto& [name, value] : entry.items()) {
        const auto place = pointer + '/' + json_pointer_token(name);
        if (std::ranges::find(entry_members, name) == entry_members.end()) {
            const auto nearest = nearest_name(name, entry_members);
            return std::unexpected(PolicyProblem{
                place, "unknown member " + in_backticks(name) +
                           (nearest ? "; did you mean `" + *nearest + "`?"
                                    : "; an entry has `host`, `methods`, `paths` and `models`")});
        }
        if (name == "host" || value.is_null()) continue;
        if (auto problem = read_condition(name, value, place, kind, conditions)) {
            return std::unexpected(*std::move(problem));
        }
    }
    if (!entry.contains("host")) return std::unexpected(PolicyProblem{pointer, "needs a `host`"});
    auto host = read_host(entry.at("host"), pointer + "/host");
    if (!host) return std::unexpected(std::move(host.error()));
    return Entry{.host = *std::move(host), .conditions = std::move(conditions)};
}

}  // namespace

std::expected<HostList, PolicyProblem> read_host_list(const json& value, const std::string& pointer,
                                                      ListKind kind) {
    if (!value.is_array()) return std::unexpected(PolicyProblem{pointer, "must be a list of hosts"});
    if (value.size() > most_entries) {
        return std::unexpected(
            PolicyProblem{pointer, "has more than " + std::to_string(most_entries) + " entries"});
    }
    HostList list;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto place = pointer + '/' + std::to_string(i);
        auto entry = read_entry(value[i], place, kind);
        if (!entry) return std::unexpected(std::move(entry.error()));
        if (!list.add(entry->host, std::move(entry->conditions))) {
            return std::unexpected(PolicyProblem{
                place, "is more than the " + std::to_string(HostList::most_conditional) +
                           " entries with `methods`, `paths` or `models` that one host may have"});
        }
    }
    list.seal();
    return list;
}

}  // namespace nomiqon::policy
