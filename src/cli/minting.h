#pragma once

#include <string>

#include "commands.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::cli {

struct Minted {
    std::string text;
    token::SpendToken token;  ///< the same, as a gateway reads it
};

/// Mints with the key that lies here, and reads the token back as a gateway would: what that would refuse is
/// a usage error here, which says why.
[[nodiscard]] Outcome<Minted> mint(Context& context, const MintToken& options);

/// Seconds since 1970, by this machine's clock.
[[nodiscard]] std::int64_t unix_now();

}  // namespace nomiqon::cli
