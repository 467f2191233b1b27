#include "nomiqon/wallet/identity.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nomiqon/core/encoding.h"

namespace nomiqon::wallet {
namespace {

PublicKey key_of(const std::string& hex) {
    PublicKey key{};
    std::ranges::copy(hex_decode(hex).value(), key.begin());
    return key;
}

nlohmann::json vectors() {
    std::ifstream file{NOMIQON_SOURCE_DIR "/tests/vectors/spend_tokens.json"};
    return nlohmann::json::parse(file);
}

TEST(Registration, AnswersEveryVectorAsItMust) {
    const auto entries = vectors()["register"];
    EXPECT_EQ(entries.size(), 8);
    for (const auto& entry : entries) {
        const PublicKey key = key_of(entry["key_hex"]);
        const bool accepted = entry["expect"] == "accepted";
        EXPECT_EQ(is_registrable_key(key), accepted) << entry["name"];
        EXPECT_EQ(parse_registrable(Caid{key}.str()).has_value(), accepted) << entry["name"];
        EXPECT_EQ(parse_registrable(Caid{key}.base58()).has_value(), accepted) << entry["name"];
    }
}

TEST(Registration, TakesACaidOrTheBareKey) {
    const std::string caid = vectors()["keys"]["alice"]["caid"];
    ASSERT_TRUE(parse_registrable(caid));
    EXPECT_EQ(parse_registrable(caid)->str(), caid);
    EXPECT_EQ(parse_registrable(caid.substr(5))->str(), caid);
}

TEST(Registration, RefusesWhatIsNoKey) {
    const std::string caid = vectors()["keys"]["alice"]["caid"];
    for (const std::string& text :
         {std::string{}, std::string{"caid_"}, caid + '1', caid.substr(0, caid.size() - 1), ' ' + caid,
          caid + '\n', "caid_" + caid, std::string{"CAID_"} + caid.substr(5), std::string(100'000, '1')}) {
        const auto parsed = parse_registrable(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_FALSE(parsed.error().empty());
    }
}

}  // namespace
}  // namespace nomiqon::wallet
