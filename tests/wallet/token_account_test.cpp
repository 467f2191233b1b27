#include "nomiqon/wallet/token_account.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"
#include "nomiqon/wallet/identity.h"

namespace nomiqon::wallet {
namespace {

PublicKey key_of(const std::string& hex) {
    PublicKey key{};
    std::ranges::copy(hex_decode(hex).value(), key.begin());
    return key;
}

nlohmann::json vectors() {
    std::ifstream file{NOMIQON_SOURCE_DIR "/tests/vectors/solana_ata.json"};
    return nlohmann::json::parse(file);
}

TEST(TokenAccount, IsWhatSolanasOwnLibrariesDerive) {
    const auto document = vectors();
    EXPECT_EQ(document["vectors"].size(), 22);
    for (const auto& vector : document["vectors"]) {
        const PublicKey owner = key_of(vector["owner_pubkey_hex"]);
        const std::string mint = vector["mint"];
        const auto account =
            associated_token_account(owner, mint, vector["token_program"].get<std::string>());
        ASSERT_TRUE(account) << vector;
        EXPECT_EQ(account->base58, vector["ata"].get<std::string>()) << vector;
        EXPECT_EQ(hex_encode(account->address), vector["ata_hex"].get<std::string>());
        EXPECT_EQ(account->bump, vector["bump"].get<int>());
        EXPECT_EQ(base58_encode(owner), vector["owner_pubkey_base58"].get<std::string>());
    }
}

TEST(TokenAccount, EveryRejectedHashIsOnTheCurve) {
    int hashes = 0;
    const auto document = vectors();
    for (const auto& vector : document["vectors"]) {
        EXPECT_FALSE(is_on_curve(key_of(vector["ata_hex"])));
        for (const auto& rejected : vector["rejected_on_curve"]) {
            EXPECT_TRUE(is_on_curve(key_of(rejected["hash_hex"]))) << rejected;
            ++hashes;
        }
    }
    EXPECT_GT(hashes, 10);
}

TEST(TokenAccount, NeedsAMintAndAProgramOf32Bytes) {
    const PublicKey owner = key_of(vectors()["vectors"][0]["owner_pubkey_hex"]);
    EXPECT_TRUE(associated_token_account(owner, usdc_mint_mainnet));
    EXPECT_FALSE(associated_token_account(owner, ""));
    EXPECT_FALSE(associated_token_account(owner, "0OIl"));
    EXPECT_FALSE(associated_token_account(owner, "111"));
    EXPECT_FALSE(associated_token_account(owner, usdc_mint_mainnet, "no program"));
}

TEST(OnCurve, AsksForNoSubgroup) {
    // Mixed order: a key plus a point of order two. No agent's key, yet a point of the curve.
    const PublicKey mixed = key_of("5b13a5aa5886bbeb685b9c17524cd44ecbe001b5312b7e58085b8b79eb829187");
    EXPECT_FALSE(is_registrable_key(mixed));
    EXPECT_TRUE(is_on_curve(mixed));
    EXPECT_TRUE(is_on_curve(key_of("0100000000000000000000000000000000000000000000000000000000000000")));
    EXPECT_TRUE(is_on_curve(key_of("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")));
    EXPECT_FALSE(is_on_curve(key_of("0200000000000000000000000000000000000000000000000000000000000000")));
}

TEST(OnCurve, IsAsLenientAsSolanasValidators) {
    // y = 1 with the sign of x = 0 set, and y = p + 1 for y = 1: both decompress in curve25519-dalek.
    EXPECT_TRUE(is_on_curve(key_of("0100000000000000000000000000000000000000000000000000000000000080")));
    EXPECT_TRUE(is_on_curve(key_of("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")));
    EXPECT_FALSE(
        is_on_curve(key_of("efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")));  // y = 2
}

TEST(OnCurve, AgreesWithLibsodiumOnKeysAndRoughlyHalvesTheRest) {
    ensure_sodium();
    int on_curve = 0;
    for (int i = 0; i < 1000; ++i) {
        PublicKey bytes{};
        PublicKey point{};
        randombytes_buf(bytes.data(), bytes.size());
        crypto_core_ed25519_random(point.data());
        EXPECT_TRUE(is_on_curve(point));
        if (crypto_core_ed25519_is_valid_point(bytes.data()) == 1) {
            EXPECT_TRUE(is_on_curve(bytes));
        }
        on_curve += is_on_curve(bytes) ? 1 : 0;
    }
    EXPECT_GT(on_curve, 400);
    EXPECT_LT(on_curve, 600);
}

}  // namespace
}  // namespace nomiqon::wallet
