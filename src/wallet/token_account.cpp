// Solana's associated token account (SPL Associated Token Account program) and the program-derived address
// under it: the first bump, from 255 downwards, of which the hash is no point of the curve, so that no
// private key can exist.

#include "nomiqon/wallet/token_account.h"

#include <openssl/bn.h>
#include <sodium.h>
#include <algorithm>
#include <memory>
#include <new>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"

namespace nomiqon::wallet {
namespace {

constexpr std::string_view associated_token_program = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";
constexpr std::string_view address_marker = "ProgramDerivedAddress";

struct BignumFree {
    void operator()(BIGNUM* number) const { BN_free(number); }
    void operator()(BN_CTX* context) const { BN_CTX_free(context); }
};
using Bignum = std::unique_ptr<BIGNUM, BignumFree>;
using BignumContext = std::unique_ptr<BN_CTX, BignumFree>;

/// OpenSSL's arithmetic on numbers of this size fails only for want of memory.
void require(bool done) {
    if (!done) throw std::bad_alloc{};
}

Bignum from_hex(const char* digits) {
    BIGNUM* raw = nullptr;
    require(BN_hex2bn(&raw, digits) != 0);
    return Bignum{raw};
}

Bignum new_bignum() {
    Bignum number{BN_new()};
    require(number != nullptr);
    return number;
}

std::optional<PublicKey> decode_address(std::string_view base58) {
    PublicKey address{};
    const auto bytes = base58_decode(base58, address.size());
    if (!bytes || bytes->size() != address.size()) return std::nullopt;
    std::ranges::copy(*bytes, address.begin());
    return address;
}

}  // namespace

// RFC 8032 section 5.1.3 with the leniency of curve25519-dalek, which Solana's validators run: the top bit
// (the sign of x) is put aside, y need not be below p, and x = 0 with the sign set passes. What remains is
// whether x² = (y² − 1) / (d·y² + 1) has a root. The denominator is never 0 (−1/d is no square), and u/v is a
// square exactly if u·v is, which is the Legendre symbol's to say.
bool is_on_curve(const PublicKey& bytes) {
    const Bignum p = from_hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
    const Bignum d = from_hex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");
    const BignumContext context{BN_CTX_new()};
    require(context != nullptr);

    PublicKey without_sign = bytes;
    without_sign.back() &= 0x7f;
    const Bignum y{BN_lebin2bn(without_sign.data(), static_cast<int>(without_sign.size()), nullptr)};
    require(y != nullptr);

    const Bignum y_squared = new_bignum();
    const Bignum u = new_bignum();
    const Bignum v = new_bignum();
    const Bignum product = new_bignum();
    require(BN_mod_sqr(y_squared.get(), y.get(), p.get(), context.get()) == 1 &&
            BN_mod_sub(u.get(), y_squared.get(), BN_value_one(), p.get(), context.get()) == 1 &&
            BN_mod_mul(v.get(), y_squared.get(), d.get(), p.get(), context.get()) == 1 &&
            BN_mod_add(v.get(), v.get(), BN_value_one(), p.get(), context.get()) == 1 &&
            BN_mod_mul(product.get(), u.get(), v.get(), p.get(), context.get()) == 1);
    const int symbol = BN_kronecker(product.get(), p.get(), context.get());
    require(symbol >= -1);
    return symbol != -1;
}

std::optional<TokenAccount> associated_token_account(const PublicKey& owner, std::string_view mint,
                                                     std::string_view program) {
    ensure_sodium();
    const auto mint_address = decode_address(mint);
    const auto program_address = decode_address(program);
    const auto deriving_program = decode_address(associated_token_program);
    if (!mint_address || !program_address || !deriving_program) return std::nullopt;

    for (int bump = 255; bump >= 0; --bump) {
        Bytes seeds;
        for (const PublicKey& seed : {owner, *program_address, *mint_address}) {
            seeds.insert(seeds.end(), seed.begin(), seed.end());
        }
        seeds.push_back(static_cast<std::uint8_t>(bump));
        seeds.insert(seeds.end(), deriving_program->begin(), deriving_program->end());
        seeds.insert(seeds.end(), address_marker.begin(), address_marker.end());

        PublicKey address{};
        crypto_hash_sha256(address.data(), seeds.data(), seeds.size());
        if (!is_on_curve(address)) return TokenAccount{address, base58_encode(address), bump};
    }
    return std::nullopt;
}

}  // namespace nomiqon::wallet
