#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's, whose header is left to the .cpp

namespace nomiqon::audit {

/// A link of an agent's chain.
using Hash = std::array<std::uint8_t, 32>;

/// What the first line is chained to.
inline constexpr Hash genesis{};

[[nodiscard]] std::string to_hex(const Hash& hash);
/// 64 lower-case hexadecimal digits.
[[nodiscard]] std::optional<Hash> hash_from_hex(std::string_view text);

/// The step of the chain: hash(n) = SHA-256(hash(n − 1) || UTF-8 of line n). Keeps its working memory from
/// call to call; one thread.
class Hasher {
  public:
    Hasher();
    [[nodiscard]] Hash next(const Hash& previous, std::string_view line);

  private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace nomiqon::audit
