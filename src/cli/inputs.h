#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"

/// Readers of what people type, shared by the commands.
namespace nomiqon::cli {

/// An amount of USDC above zero, as it was written; `what` names it in the error.
[[nodiscard]] Outcome<std::string> amount(std::string_view text, std::string_view what);

/// `key=value` pairs, each key once; the value may be empty and may hold `=` and commas.
[[nodiscard]] Outcome<std::map<std::string, std::string>> key_values(const std::vector<std::string>& pairs,
                                                                     std::string_view option);

/// A file's text, or standard input for `-`; at most a megabyte.
[[nodiscard]] Outcome<std::string> read_text(const std::string& file);

/// A policy document of the flags over the file's. `changing`: `none` becomes null, which removes.
[[nodiscard]] Outcome<Json> policy_of(const PolicyFlags& flags, bool changing);

/// `YYYY-MM-DD` or RFC 3339; empty stays empty.
[[nodiscard]] Outcome<void> check_time(std::string_view text, std::string_view option);

/// Says on standard error when a list was cut.
void note_more(Context& context, const List& list);

}  // namespace nomiqon::cli
