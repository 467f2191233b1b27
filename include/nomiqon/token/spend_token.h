#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/caid.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::token {

enum class TokenUse : std::uint8_t { once, session };

inline constexpr std::size_t max_token_length = 2048;
inline constexpr std::int64_t max_clock_skew_seconds = 30;
inline constexpr std::int64_t max_once_seconds = 300;
inline constexpr std::int64_t max_session_seconds = 86'400;

/// `htu`: an origin and, where it says more than `/`, a path that is compared byte for byte.
struct BoundUrl {
    Scheme scheme = Scheme::https;
    std::string host;  ///< lower case, as written otherwise
    std::uint16_t port = 443;
    std::string path{};  ///< empty: any path
    friend bool operator==(const BoundUrl&, const BoundUrl&) = default;
};

/// A spend token whose form and signature were found good. `text` is the signed token itself (without
/// `spt_`): the agent's own proof of the spend, kept in the ledger. A secret while it is valid: never logged.
struct SpendToken {
    Caid caid;
    std::int64_t iat = 0;
    std::int64_t exp = 0;
    std::string jti{};
    TokenUse use = TokenUse::once;
    std::optional<Usdc> max{};
    std::optional<std::string> htm{};
    std::optional<BoundUrl> htu{};
    std::string ref{};  ///< empty: none
    std::string text{};
};

struct VerifyContext {
    std::int64_t now = 0;  ///< Unix seconds
    std::string_view audience;
};

/// What a request is, as far as a token can be bound to it.
struct BoundRequest {
    std::string_view method;
    Scheme scheme = Scheme::https;
    std::string_view host;  ///< as HostName writes it
    std::uint16_t port = 443;
    std::optional<std::string_view> path{};  ///< without query; none where it can't be seen (CONNECT)
};

/// Checks form, signature, audience and life of `text`, which may stand behind the prefix `spt_`.
///
/// Refusals: `spend_token_missing` (empty), `spend_token_invalid`, `spend_token_expired`; `detail` names the
/// check, for the log. Whether the CAID is registered, and whether the token was used, is the ledger's to
/// say. Pure; thread-safe; the signature check comes after all other checks but expiry, and is the dearest
/// (about 50 µs).
[[nodiscard]] std::expected<SpendToken, Refusal> verify(std::string_view text, const VerifyContext& context);

/// What `verify` asks last, and again for a token that was verified before: `spend_token_expired` from `exp`
/// on.
[[nodiscard]] std::optional<Refusal> check_expiry(const SpendToken& token, std::int64_t now);

/// The same as `verify` without audience and clock, for who reads a token long after it was used: form,
/// signature, and that it doesn't live longer than its kind may. Whether it had expired then is the caller's
/// to ask. Never for a request.
[[nodiscard]] std::expected<SpendToken, Refusal> verify_kept(std::string_view text);

/// Whether the token's `htm` and `htu` admit the request; else `spend_token_mismatch`. A CONNECT has no path:
/// a token bound to a path doesn't admit one of its own (an intercepted connection compares it with each
/// inner request).
[[nodiscard]] std::optional<Refusal> check_binding(const SpendToken& token, const BoundRequest& request);

/// The same for the CONNECT of an intercepted connection, where only the origin can be wrong yet: `htm` and
/// the path are compared with each inner request, by the next function.
[[nodiscard]] std::optional<Refusal> check_connect_binding(const SpendToken& token,
                                                           const BoundRequest& request);

/// A request inside an intercepted connection against the token of its CONNECT: as `check_binding`, but `htm`
/// `CONNECT` admits every method.
[[nodiscard]] std::optional<Refusal> check_inner_binding(const SpendToken& token,
                                                         const BoundRequest& request);

/// What an agent's own program fills in; `jti` is made by `mint` where it is empty.
struct MintClaims {
    std::string audience = "nomiqon";
    std::int64_t iat = 0;
    std::int64_t exp = 0;
    std::string jti{};
    TokenUse use = TokenUse::once;
    std::optional<Usdc> max{};
    std::string htm{};
    std::string htu{};
    std::string ref{};
};

/// 32 bytes of an Ed25519 seed, wiped when it dies. Not copyable.
class SigningKey {
  public:
    static SigningKey generate();
    static std::optional<SigningKey> from_seed(std::string_view seed);  ///< exactly 32 bytes
    SigningKey(SigningKey&&) noexcept;
    SigningKey& operator=(SigningKey&&) noexcept;
    SigningKey(const SigningKey&) = delete;
    SigningKey& operator=(const SigningKey&) = delete;
    ~SigningKey();

    [[nodiscard]] const Caid& caid() const { return caid_; }
    [[nodiscard]] std::string_view seed() const { return {secret_.data(), 32}; }
    /// The compact JWS. The claims are the caller's: a token that `verify` refuses can be minted, for tests.
    [[nodiscard]] std::string mint(const MintClaims& claims) const;

  private:
    SigningKey(std::array<char, 64> secret, Caid caid);
    std::array<char, 64> secret_;  // seed and public key, as libsodium keeps it
    Caid caid_;
};

}  // namespace nomiqon::token
