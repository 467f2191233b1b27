#include "inputs.h"

#include <fstream>
#include <iostream>
#include <istream>

#include "nomiqon/core/suggestion.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::cli {
namespace {

constexpr std::size_t max_text_bytes = 1024 * 1024;
constexpr std::string_view none = "none";

Outcome<std::string> read_bounded(std::istream& stream, const std::string& name) {
    std::string text(max_text_bytes + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (stream.bad()) return failed("can't read " + name);
    if (text.size() > max_text_bytes) return failed(name + " is longer than 1 MiB");
    return text;
}

Outcome<void> set_cap(Json& policy, const std::string& member, const std::optional<std::string>& text,
                      std::string_view option, bool changing) {
    if (!text) return {};
    if (changing && *text == none) {
        policy[member] = nullptr;
        return {};
    }
    // A cap of zero is a cap: nothing may be spent.
    if (!Usdc::parse(*text)) {
        return usage_error(
            std::string{option} + " must be an amount of USDC such as 5.00, not " + in_backticks(*text),
            changing ? "or none, to remove it" : "");
    }
    policy[member] = *text;
    return {};
}

void set_list(Json& policy, const std::string& member, const std::vector<std::string>& entries,
              bool changing) {
    if (entries.empty()) return;
    if (changing && entries.size() == 1 && entries.front() == none) {
        policy[member] = nullptr;
    } else {
        policy[member] = entries;
    }
}

}  // namespace

Outcome<std::string> amount(std::string_view text, std::string_view what) {
    const auto parsed = Usdc::parse(text);
    if (!parsed || parsed->is_zero()) {
        return usage_error(std::string{what} +
                           " must be an amount of USDC above zero, such as 5.00 or 0.0125, not " +
                           in_backticks(text));
    }
    return std::string{text};
}

Outcome<std::map<std::string, std::string>> key_values(const std::vector<std::string>& pairs,
                                                       std::string_view option) {
    std::map<std::string, std::string> result;
    for (const auto& pair : pairs) {
        const auto equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            return usage_error(std::string{option} + " must be key=value, not " + in_backticks(pair));
        if (!result.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
            return usage_error(std::string{option} + " names " + in_backticks(pair.substr(0, equals)) +
                               " twice");
    }
    return result;
}

Outcome<std::string> read_text(const std::string& file) {
    if (file == "-") return read_bounded(std::cin, "standard input");
    std::ifstream stream{file, std::ios::binary};
    if (!stream) return failed("can't read the file " + in_backticks(file));
    return read_bounded(stream, "the file " + in_backticks(file));
}

Outcome<Json> policy_of(const PolicyFlags& flags, bool changing) {
    Json policy = Json::object();
    if (!flags.file.empty()) {
        const auto text = read_text(flags.file);
        if (!text) return std::unexpected(text.error());
        auto document = parse_json(*text, "the policy in " + in_backticks(flags.file));
        if (!document) return std::unexpected(document.error());
        if (!document->is_object())
            return failed("the policy in " + in_backticks(flags.file) + " must be a JSON object");
        policy = std::move(*document);
    }
    for (auto result :
         {set_cap(policy, "dailyCap", flags.daily_cap, "--daily-cap", changing),
          set_cap(policy, "totalCap", flags.total_cap, "--total-cap", changing),
          set_cap(policy, "maxPerRequest", flags.max_per_request, "--max-per-request", changing)})
        if (!result) return std::unexpected(result.error());
    set_list(policy, "allowlist", flags.allow, changing);
    set_list(policy, "blocklist", flags.block, changing);
    return policy;
}

Outcome<void> check_time(std::string_view text, std::string_view option) {
    if (text.empty() || parse_day(text) || parse_time(text)) return {};
    return usage_error(std::string{option} + " must be a day such as 2026-05-24, or a time such as " +
                       "2026-05-24T12:00:00Z, not " + in_backticks(text));
}

void note_more(Context& context, const List& list) {
    if (!list.more) return;
    context.out.note("these are the first " + std::to_string(list.rows.size()) +
                     "; --all or --limit N shows more");
}

}  // namespace nomiqon::cli
