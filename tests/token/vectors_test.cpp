// The contract's own vectors: what a gateway answers to each token, from the token and the request alone.

#include <gtest/gtest.h>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bound_url.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

nlohmann::json document() {
    std::ifstream file{NOMIQON_SOURCE_DIR "/tests/vectors/spend_tokens.json"};
    return nlohmann::json::parse(file);
}

/// A request as the proxy would describe it, from the vector's method and URL.
struct Request {
    std::string method;
    BoundUrl url;
    BoundRequest described;

    explicit Request(const nlohmann::json& request) : method(request["method"]) {
        std::string text = request["url"];
        text.erase(std::min(text.find('?'), text.size()));
        url = parse_bound_url(text).value();
        if (url.path.empty()) url.path = "/";
        described = {
            .method = method, .scheme = url.scheme, .host = url.host, .port = url.port, .path = url.path};
        if (method == "CONNECT") described.path.reset();
    }
};

std::string answer(const nlohmann::json& vector, const nlohmann::json& keys) {
    const std::string audience = vector["audience"];
    const auto token =
        verify(vector["token"].get<std::string>(), {.now = vector["now"], .audience = audience});
    if (!token) return std::string{info(token.error().code).name};
    const bool registered =
        std::ranges::any_of(keys, [&](const auto& key) { return key["caid"] == token->caid.str(); });
    if (!registered) return "spend_token_invalid";
    if (const auto refusal = check_binding(*token, Request{vector["request"]}.described)) {
        return std::string{info(refusal->code).name};
    }
    return "ok";
}

TEST(TokenVectors, EachIsAnsweredAsTheContractSays) {
    const auto vectors = document();
    EXPECT_EQ(vectors["vectors"].size(), 138);
    for (const auto& vector : vectors["vectors"]) {
        EXPECT_EQ(answer(vector, vectors["keys"]), vector["expect"].get<std::string>()) << vector["name"];
    }
}

TEST(TokenVectors, EachIsAnsweredTheSameBehindThePrefix) {
    const auto vectors = document();
    for (auto vector : vectors["vectors"]) {
        vector["token"] = "spt_" + vector["token"].get<std::string>();
        EXPECT_EQ(answer(vector, vectors["keys"]), vector["expect"].get<std::string>()) << vector["name"];
    }
}

TEST(TokenVectors, ClaimsOfGoodTokensAreRead) {
    const auto vectors = document();
    for (const auto& vector : vectors["vectors"]) {
        if (vector["expect"] != "ok" || !vector.contains("claims")) continue;
        const std::string text = vector["token"];
        const std::string audience = vector["audience"];
        const auto token = verify(text, {.now = vector["now"], .audience = audience});
        ASSERT_TRUE(token) << vector["name"];
        const auto& claims = vector["claims"];
        EXPECT_EQ(token->iat, claims["iat"].get<std::int64_t>());
        EXPECT_EQ(token->exp, claims["exp"].get<std::int64_t>());
        EXPECT_EQ(token->jti, claims["jti"].get<std::string>());
        EXPECT_EQ(token->use, claims.value("use", "once") == "once" ? TokenUse::once : TokenUse::session);
        EXPECT_EQ(token->ref, claims.value("ref", ""));
        EXPECT_EQ(token->htm.value_or(""), claims.value("htm", ""));
        EXPECT_EQ(token->max.has_value(), claims.contains("max"));
        if (token->max) {
            EXPECT_EQ(token->max, Usdc::parse(claims["max"].get<std::string>()));
        }
        EXPECT_EQ(token->text, text);
    }
}

TEST(TokenVectors, AnyChangedCharacterIsInvalid) {
    const auto vector = document()["vectors"][0];
    const std::string text = vector["token"];
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (const char c : {'A', 'B', '.', ' ', '\0', '\xff'}) {
            std::string changed = text;
            if (changed[i] == c) continue;
            changed[i] = c;
            const auto token = verify(changed, {.now = vector["now"], .audience = "nomiqon"});
            ASSERT_FALSE(token) << i << ' ' << static_cast<int>(c);
            EXPECT_EQ(token.error().code, RefusalCode::spend_token_invalid);
        }
    }
}

}  // namespace
}  // namespace nomiqon::token
