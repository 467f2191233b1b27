#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "nomiqon/core/secret.h"
#include "nomiqon/core/time.h"

// Where secrets of the configuration come from: `${file:PATH}`, `${env:NAME}`, `${cmd:COMMAND}`.

namespace nomiqon::config_detail {

inline constexpr std::size_t largest_secret = 64UL * 1024;
inline constexpr Duration longest_secret_command{10'000};

struct SecretReference {
    std::string_view kind;  ///< `file`
    std::string_view what;
    std::size_t length = 0;  ///< of the whole reference, from `${` to `}`
};

/// The reference that `text` begins with. Braces inside a command must be balanced, since shells use them
/// too.
[[nodiscard]] std::expected<SecretReference, std::string> read_reference(std::string_view text);

/// What the reference stands for, never empty. Relative paths are relative to `base`, where commands run too.
/// An unknown kind, a command and its output are not repeated in the error: they may be secrets.
[[nodiscard]] std::expected<Secret, std::string> resolve(const SecretReference& reference,
                                                         const std::filesystem::path& base);

/// What `/bin/sh -c command` prints, less one line break at its end. It has the gateway's environment, no
/// input, and no file but its output; what it says on standard error is dropped. Whatever it started in its
/// own process group ends with it when the time is over.
[[nodiscard]] std::expected<Secret, std::string> secret_of_command(const std::string& command,
                                                                   const std::filesystem::path& directory,
                                                                   Duration limit = longest_secret_command);

}  // namespace nomiqon::config_detail
