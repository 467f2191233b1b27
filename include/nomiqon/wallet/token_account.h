#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/caid.h"

namespace nomiqon::wallet {

inline constexpr std::string_view usdc_mint_mainnet = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
inline constexpr std::string_view token_program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

/// Whether 32 bytes are a point of the curve as Solana's program-derived addresses ask it: decompression
/// alone, with no test of the subgroup (libsodium's crypto_core_ed25519_is_valid_point asks for more, and
/// would derive another address for about one key in five hundred).
[[nodiscard]] bool is_on_curve(const PublicKey& bytes);

struct TokenAccount {
    PublicKey address;
    std::string base58;
    int bump = 0;
};

/// The associated token account of `owner` for `mint`: where USDC for this key arrives on Solana. Derived
/// offline: SHA-256(owner, token program, mint, bump, associated-token program, "ProgramDerivedAddress") for
/// bump = 255 down to the first that is off the curve. `nullopt` when no bump gives one, or `mint`/`program`
/// is no base58 of 32 bytes.
[[nodiscard]] std::optional<TokenAccount> associated_token_account(const PublicKey& owner,
                                                                   std::string_view mint,
                                                                   std::string_view program = token_program);

}  // namespace nomiqon::wallet
