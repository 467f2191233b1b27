#include "json_skim.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace nomiqon::metering {
namespace {

std::string skimmed(std::string_view text, SkimLimits limits = {}, std::size_t piece = std::string::npos) {
    JsonSkim skim{limits};
    for (std::string_view rest = text; !rest.empty();) {
        skim.read(rest.substr(0, piece));
        rest.remove_prefix(std::min(piece, rest.size()));
    }
    if (skim.broken()) return "broken";
    return skim.complete() ? skim.document() : "unfinished";
}

TEST(JsonSkim, KeepsSmallDocumentsWhatevertheirPieces) {
    const std::string text = R"( {"a": [1, -2.5e3, true, null, "x\"\\\u00e9", {"b": {}}, []], "c" : "d" } )";
    const auto whole = nlohmann::json::parse(text);
    for (std::size_t piece = 1; piece < text.size() + 1; ++piece) {
        EXPECT_EQ(nlohmann::json::parse(skimmed(text, {}, piece)), whole) << piece;
    }
}

TEST(JsonSkim, KeepsTheUseBehindThirtyMegabytesInBoundedMemory) {
    std::string text = R"({"data":[{"b64_json":")" + std::string(30'000'000, 'A') + R"("}],"vectors":[)";
    for (int i = 0; i < 200'000; ++i)
        text += "0.123456,";
    text += R"(0],"usage":{"total_tokens":7}})";
    const std::string kept = skimmed(text, {}, 16384);
    EXPECT_LT(kept.size(), 4096U);
    EXPECT_EQ(nlohmann::json::parse(kept)["usage"]["total_tokens"], 7);
}

TEST(JsonSkim, CutsStringsBetweenCharacters) {
    const SkimLimits limits{.string_bytes = 4};
    for (const std::string body :
         {"abcdefgh", "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "\xF0\x9F\x98\x80\xF0\x9F\x98\x80",
          "\\ud83d\\ude00\\ud83d\\ude00", "a\\n\\n\\n\\n\\\"b", "abc\\\\\\\\\\\\"}) {
        for (std::size_t piece = 1; piece < 5; ++piece) {
            const std::string kept = skimmed("{\"s\":\"" + body + "\",\"n\":1}", limits, piece);
            EXPECT_TRUE(parse_answer(kept)) << body << " → " << kept;
            EXPECT_EQ(parse_answer(kept).value_or(nlohmann::json{})["n"], 1) << kept;
        }
    }
}

TEST(JsonSkim, TellsWhenObjectsWereDropped) {
    JsonSkim skim{{.items = 2}};
    skim.read(R"({"calls":[{"a":1},{"a":2},{"a":3}],"n":[1,2,3]})");
    EXPECT_TRUE(skim.complete());
    EXPECT_TRUE(skim.lossy());
    EXPECT_EQ(skim.document(), R"({"calls":[{"a":1},{"a":2}],"n":[1,2,3]})");
    JsonSkim numbers{{.scalars = 2}};
    numbers.read(R"({"n":[1,2,3,4],"m":5})");
    EXPECT_FALSE(numbers.lossy());
    EXPECT_EQ(numbers.document(), R"({"n":[1,2],"m":5})");
}

TEST(JsonSkim, HandsOutTheElementsOfAnArray) {
    JsonSkim skim{{.bytes = 100}};
    std::vector<std::string> elements;
    skim.read("[{\"a\":1},\n");
    for (auto& element : skim.take_elements())
        elements.push_back(element);
    EXPECT_EQ(elements, std::vector<std::string>{"{\"a\":1}"});
    for (int i = 0; i < 1000; ++i)
        skim.read(R"({"b":[2,3]} , )");
    EXPECT_EQ(skim.take_elements().size(), 1000U);
    skim.read("{\"c\":4}]");
    EXPECT_EQ(skim.take_elements().back(), "{\"c\":4}");
    EXPECT_TRUE(skim.is_array() && skim.complete() && !skim.broken());
}

TEST(JsonSkim, SaysWhatIsNoJson) {
    for (const std::string_view text :
         {"{]", "{\"a\" 1}", "{\"a\":1,}", "[1 2", "{1:2}", "}", "{\"a\":1}}", "{} {}", "{\"a\":}", "<html>",
          "{,}", "{\"a\":1 \"b\":2}", "{\"a\"::1}", "{\"a\":\"\n\"}", "{\"a\":\"\\u12x4\"}"}) {
        EXPECT_EQ(skimmed(text) == "broken" || !parse_answer(skimmed(text)), true) << text;
    }
    EXPECT_EQ(skimmed(std::string(70, '[')), "broken");
    EXPECT_EQ(skimmed("{\"n\":" + std::string(70, '1') + "}"), "broken");
    EXPECT_EQ(skimmed("{\"a\":\"" + std::string(2000, '\x80') + "\"}"), "broken");
    EXPECT_EQ(skimmed("{\"a\":1"), "unfinished");
    std::string many = "{";
    for (int i = 0; i < 100; ++i)
        many += "\"member\":{},";
    EXPECT_EQ(skimmed(many, {.bytes = 200}), "broken");
}

TEST(JsonSkim, RefusesRepeatedMembersButMendsHalvesOfCharacters) {
    EXPECT_FALSE(parse_answer(R"({"usage":{"a":1},"usage":{"a":0}})"));
    EXPECT_FALSE(parse_answer(R"({"a":1} x)"));
    EXPECT_TRUE(parse_answer(R"({"text":"\ud83d","n":1})"));
    EXPECT_TRUE(parse_answer(R"({"text":"a\\\ude00\\u12","n":1})"));
    EXPECT_EQ(parse_answer(R"({"t":"\ud83d\ude00"})").value()["t"], "\xF0\x9F\x98\x80");
}

}  // namespace
}  // namespace nomiqon::metering
