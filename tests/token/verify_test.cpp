#include <gtest/gtest.h>
#include <sodium.h>

#include "nomiqon/core/encoding.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

constexpr std::int64_t now = 1'795'034'304;
constexpr VerifyContext context{.now = now, .audience = "nomiqon"};

SigningKey key() {
    return SigningKey::from_seed(std::string(32, 'k')).value();
}

MintClaims claims() {
    return {.iat = now, .exp = now + 60, .jti = "0123456789abcdef"};
}

std::string encode(std::string_view text) {
    return base64url_encode({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// A correctly signed token of any header and claims.
std::string sign(std::string_view header, std::string_view payload) {
    const std::string message = encode(header) + '.' + encode(payload);
    std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> public_key{};
    std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret_key{};
    const std::string seed(32, 'k');
    crypto_sign_seed_keypair(public_key.data(), secret_key.data(),
                             reinterpret_cast<const unsigned char*>(seed.data()));
    std::array<std::uint8_t, crypto_sign_BYTES> signature{};
    crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()),
                         message.size(), secret_key.data());
    return message + '.' + base64url_encode(signature);
}

std::string good_header() {
    return R"({"alg":"EdDSA","typ":"spend+jwt","kid":")" + key().caid().str() + "\"}";
}

constexpr std::string_view good_claims =
    R"({"aud":"nomiqon","iat":1795034304,"exp":1795034364,"jti":"0123456789abcdef"})";

std::string code(const std::string& text, const VerifyContext& at = context) {
    const auto token = verify(text, at);
    return token ? "ok" : std::string{info(token.error().code).name};
}

/// The answer to good claims with these members behind them.
std::string code_with(std::string_view members) {
    std::string payload{good_claims};
    payload.insert(payload.size() - 1, members);
    return code(sign(good_header(), payload));
}

TEST(Verify, TakesWhatMintMakes) {
    const SigningKey signer = key();
    const auto token = verify(signer.mint({.iat = now,
                                           .exp = now + 3600,
                                           .use = TokenUse::session,
                                           .max = Usdc::parse("2.5"),
                                           .htm = "POST",
                                           .htu = "https://API.openai.com/v1",
                                           .ref = "run \"7\" \\ é"}),
                              context);
    ASSERT_TRUE(token) << token.error().detail;
    EXPECT_EQ(token->caid, signer.caid());
    EXPECT_EQ(token->use, TokenUse::session);
    EXPECT_EQ(token->max, Usdc::parse("2.5"));
    EXPECT_EQ(token->htm, "POST");
    EXPECT_EQ(token->htu,
              (BoundUrl{.scheme = Scheme::https, .host = "api.openai.com", .port = 443, .path = "/v1"}));
    EXPECT_EQ(token->ref, "run \"7\" \\ é");
    EXPECT_EQ(token->jti.size(), 22U);
}

TEST(Verify, MissingMeansEmptyWithAndWithoutPrefix) {
    EXPECT_EQ(code(""), "spend_token_missing");
    EXPECT_EQ(code("spt_"), "spend_token_missing");
    EXPECT_EQ(code("spt_spt_" + key().mint(claims())), "spend_token_invalid");
    EXPECT_EQ(code(" "), "spend_token_invalid");
}

TEST(Verify, LifeIsJudgedToTheSecond) {
    const auto at = [](std::int64_t iat, std::int64_t exp, TokenUse use = TokenUse::once) {
        MintClaims made = claims();
        made.iat = iat;
        made.exp = exp;
        made.use = use;
        made.max = Usdc::parse("1");
        return code(key().mint(made));
    };
    EXPECT_EQ(at(now + 30, now + 330), "ok");
    EXPECT_EQ(at(now + 31, now + 331), "spend_token_invalid");
    EXPECT_EQ(at(now - 299, now + 1), "ok");
    EXPECT_EQ(at(now - 300, now), "spend_token_expired");
    EXPECT_EQ(at(now - 300, now + 1), "spend_token_invalid");
    EXPECT_EQ(at(now, now), "spend_token_invalid");
    EXPECT_EQ(at(now, now - 1), "spend_token_invalid");
    EXPECT_EQ(at(now, now + 86'400, TokenUse::session), "ok");
    EXPECT_EQ(at(now, now + 86'401, TokenUse::session), "spend_token_invalid");
    EXPECT_EQ(at(0, 1), "spend_token_expired");
    EXPECT_EQ(at(-1, 1), "spend_token_invalid");
    EXPECT_EQ(at(0, std::numeric_limits<std::int64_t>::max()), "spend_token_invalid");
    EXPECT_EQ(at(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()),
              "spend_token_invalid");
    EXPECT_EQ(at(std::numeric_limits<std::int64_t>::max() - 1, std::numeric_limits<std::int64_t>::max()),
              "spend_token_invalid");
}

TEST(Verify, ExpiryIsToldOnlyOfATokenThatIsGoodInAllElse) {
    MintClaims old = claims();
    old.iat = now - 100;
    old.exp = now - 50;
    const std::string text = key().mint(old);
    EXPECT_EQ(code(text), "spend_token_expired");
    std::string forged = text;
    forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
    EXPECT_EQ(code(forged), "spend_token_invalid");
    EXPECT_EQ(code(text, {.now = now, .audience = "other"}), "spend_token_invalid");
}

TEST(Verify, DetailNamesTheCheckAndNothingOfTheToken) {
    MintClaims made = claims();
    made.ref = std::string(129, 's');
    const auto token = verify(key().mint(made), context);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().detail, "ref");
    EXPECT_TRUE(token.error().agent.empty());
}

TEST(Verify, EscapesAreDecodedBeforeTheyAreChecked) {
    EXPECT_EQ(code(sign(good_header(), R"({"\u0061ud":"n\u006fmiqon","iat":1795034304,"exp":1795034364,)"
                                       R"("jti":"\u0030123456789abcde\u0066"})")),
              "ok");
    EXPECT_EQ(code_with(R"(,"\u0061ud":"nomiqon")"), "spend_token_invalid");  // aud, twice
    EXPECT_EQ(code_with(R"(,"ref":"a\u0000b")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"ref":"\u0085")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"ref":"\u00a0")"), "ok");
    EXPECT_EQ(code_with(R"(,"ref":"\ud83d\ude00")"), "ok");
    EXPECT_EQ(code_with(R"(,"ref":"\b")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"ref":"\/")"), "ok");
    EXPECT_EQ(code_with(R"(,"htm":"PO\nST")"), "spend_token_invalid");
}

TEST(Verify, RefusesJsonThatIsNotStrict) {
    for (const std::string_view members : {R"(,"ref":"\ud800")",
                                           R"(,"ref":"\udc00")",
                                           R"(,"ref":"\ud800\u0041")",
                                           R"(,"ref":"\ud800x")",
                                           R"(,"ref":"\x41")",
                                           R"(,"ref":"\u12")",
                                           R"(,"ref":"\u12g4")",
                                           "\"ref\":\"a\"",
                                           ",",
                                           ",\"ref\"",
                                           ",\"ref\":",
                                           ",\"ref\":\"a\" \"b\"",
                                           ",\"ref\":\"tab\there\"",
                                           ",\"ref\":\"\xed\xa0\x80\"",
                                           ",\"ref\":\"\xc0\xaf\"",
                                           ",/**/\"ref\":\"a\"",
                                           ",\"ref\":true",
                                           ",\"ref\":null",
                                           ",\"ref\":[\"a\"]",
                                           ",\"ref\":{\"a\":\"b\"}",
                                           ",ref:\"a\"",
                                           ",'ref':'a'",
                                           ",\"\":\"a\"",
                                           ",\"REF\":\"a\"",
                                           ",\"nbf\":1795034304"}) {
        EXPECT_EQ(code_with(members), "spend_token_invalid") << members;
    }
    EXPECT_EQ(code_with(" \t\r\n, \"ref\" \n:\t\"a\" "), "ok");
    const std::string payload{good_claims};
    for (const std::string& text :
         {"\xef\xbb\xbf" + payload, payload + "{}", payload + ' ' + 'x', payload + '\0', '\v' + payload,
          std::string{"{}"}, std::string{"{"}, std::string{"\""}, std::string{},
          payload.substr(0, payload.size() - 1)}) {
        EXPECT_EQ(code(sign(good_header(), text)), "spend_token_invalid") << text;
    }
    EXPECT_EQ(code(sign(good_header(), ' ' + payload + '\n')), "ok");
}

TEST(Verify, IntegersAreIntegers) {
    for (const std::string_view exp :
         {"1795034364.0", "1795034364e0", "1.795034364e9", "+1795034364", "01795034364", "\"1795034364\"",
          "-0", "9223372036854775808", "-9223372036854775809", "0x6afdf3bc", "1_795_034_364", "true", "-",
          ""}) {
        EXPECT_EQ(code(sign(good_header(),
                            "{\"aud\":\"nomiqon\",\"iat\":1795034304,\"jti\":\"0123456789abcdef\","
                            "\"exp\":" +
                                std::string{exp} + "}")),
                  "spend_token_invalid")
            << exp;
    }
}

TEST(Verify, HeaderHasExactlyItsThreeMembers) {
    const std::string caid = key().caid().str();
    EXPECT_EQ(
        code(sign(" { \"kid\" : \"" + caid + "\" , \"typ\":\"spend+jwt\",\"alg\":\"EdDSA\"} ", good_claims)),
        "ok");
    for (const std::string& header :
         {std::string{"{}"}, R"({"alg":"EdDSA","typ":"spend+jwt"})" + std::string{},
          R"({"alg":"EdDSA","kid":")" + caid + "\"}", R"({"typ":"spend+jwt","kid":")" + caid + "\"}",
          R"({"alg":"EdDSA","typ":"spend+jwt","kid":")" + caid + R"(","kid":")" + caid + "\"}",
          R"({"alg":"EdDSA","typ":"spend+jwt","cty":"x","kid":")" + caid + "\"}",
          R"({"alg":1,"typ":"spend+jwt","kid":")" + caid + "\"}",
          R"({"alg":"EdDSA","typ":"spend+jwt","kid":" )" + caid + "\"}"}) {
        EXPECT_EQ(code(sign(header, good_claims)), "spend_token_invalid") << header;
    }
}

TEST(Verify, LengthLimitDoesNotCountThePrefix) {
    // Spaces at the end of the claims pad the token to the exact length.
    std::string text;
    for (std::size_t spaces = 0; text.size() < max_token_length; ++spaces) {
        text = sign(good_header(), std::string{good_claims} + std::string(spaces, ' '));
    }
    ASSERT_EQ(text.size(), max_token_length);
    EXPECT_EQ(code(text), "ok");
    EXPECT_EQ(code("spt_" + text), "ok");
    EXPECT_EQ(code(text + "A"), "spend_token_invalid");
    EXPECT_EQ(code(std::string(10'000'000, '.')), "spend_token_invalid");
}

TEST(Verify, MethodIsAnHttpToken) {
    EXPECT_EQ(code_with(R"(,"htm":"M-SEARCH")"), "ok");
    EXPECT_EQ(code_with(R"(,"htm":"!#$%&'*+-.^_`|~")"), "ok");
    for (const std::string_view htm :
         {"", "PO ST", "POST,GET", "(", "é", "POST\\r", "[]", "a/b", "\\u007f"}) {
        EXPECT_EQ(code_with(",\"htm\":\"" + std::string{htm} + '"'), "spend_token_invalid") << htm;
    }
}

TEST(Verify, SessionNeedsALimit) {
    EXPECT_EQ(code_with(R"(,"use":"session")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"use":"session","max":"1")"), "ok");
    EXPECT_EQ(code_with(R"(,"use":"once","max":"0.000000000")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"use":"Once")"), "spend_token_invalid");
    EXPECT_EQ(code_with(R"(,"use":"")"), "spend_token_invalid");
}

TEST(VerifyKept, AsksForNoAudienceAndNoClockAndForAllElse) {
    auto said = claims();
    said.audience = "another";
    const auto text = key().mint(said);
    const auto token = verify_kept(text);
    ASSERT_TRUE(token) << token.error().detail;
    EXPECT_EQ(token->jti, said.jti);
    EXPECT_EQ(token->text, text);
    said.exp = now + max_once_seconds + 1;
    EXPECT_FALSE(verify_kept(key().mint(said))) << "lives too long";
    said = claims();
    said.exp = said.iat;
    EXPECT_FALSE(verify_kept(key().mint(said)));
    EXPECT_FALSE(verify_kept(text.substr(0, text.size() - 2) + "AA"));
    EXPECT_FALSE(verify_kept(sign(good_header(), R"({"iat":1,"exp":2,"jti":"0123456789abcdef"})")))
        << "no aud";
    EXPECT_FALSE(verify_kept(""));
}

TEST(SigningKey, ComesFromASeedOfExactly32Bytes) {
    EXPECT_FALSE(SigningKey::from_seed(""));
    EXPECT_FALSE(SigningKey::from_seed(std::string(31, 'k')));
    EXPECT_FALSE(SigningKey::from_seed(std::string(33, 'k')));
    const auto signer = SigningKey::from_seed(std::string(32, 'k'));
    ASSERT_TRUE(signer);
    EXPECT_EQ(signer->seed(), std::string(32, 'k'));
    EXPECT_EQ(signer->caid(), key().caid());
}

TEST(SigningKey, GeneratedKeysDifferAndSign) {
    const SigningKey a = SigningKey::generate();
    const SigningKey b = SigningKey::generate();
    EXPECT_NE(a.caid(), b.caid());
    EXPECT_EQ(code(a.mint(claims())), "ok");
}

TEST(SigningKey, LeavesNoSecretWhereItMovedFrom) {
    SigningKey from = key();
    const SigningKey to = std::move(from);
    EXPECT_EQ(from.seed(), std::string(32, '\0'));  // NOLINT(bugprone-use-after-move): what the test is about
    EXPECT_EQ(to.seed(), std::string(32, 'k'));
}

}  // namespace
}  // namespace nomiqon::token
