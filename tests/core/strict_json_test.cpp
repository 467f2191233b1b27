#include "nomiqon/core/strict_json.h"

#include <gtest/gtest.h>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

namespace nomiqon {
namespace {

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

std::string problem(std::string_view text, const JsonLimits& limits = {}) {
    const auto document = parse_strict_json(text, limits);
    return document ? "no problem" : document.error().message;
}

TEST(StrictJson, ReadsADocument) {
    const auto document =
        parse_strict_json(R"( {"a":[1,-2,3.5,true,false,null,"\u00e9\ud83d\ude00",{}],"b":{"a":0}} )");
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(*document, nlohmann::json::parse(R"({"a":[1,-2,3.5,true,false,null,"é😀",{}],"b":{"a":0}})"));
    for (const std::string_view text : {"0", "null", "\"\"", "[]", "{}", " 1 ", "\n[]\r\n\t"}) {
        EXPECT_TRUE(parse_strict_json(text)) << text;
    }
}

TEST(StrictJson, KeepsIntegersExact) {
    const auto most = parse_strict_json("18446744073709551615");
    ASSERT_TRUE(most);
    EXPECT_EQ(most->get<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
    const auto least = parse_strict_json("-9223372036854775808");
    ASSERT_TRUE(least);
    EXPECT_EQ(least->get<std::int64_t>(), std::numeric_limits<std::int64_t>::min());
    EXPECT_TRUE(parse_strict_json("9007199254740993")->is_number_integer());
    EXPECT_TRUE(parse_strict_json("1.0")->is_number_float());
    EXPECT_TRUE(parse_strict_json("1e0")->is_number_float());
}

TEST(StrictJson, RefusesNumbersThatDoNotFit) {
    EXPECT_EQ(problem("18446744073709551616"), "an integer does not fit into 64 bits");
    EXPECT_EQ(problem("-9223372036854775809"), "an integer does not fit into 64 bits");
    EXPECT_EQ(problem("[1e999]"), "a number is too large for a 64-bit floating number");
    EXPECT_EQ(problem("-1e400"), "a number is too large for a 64-bit floating number");
    EXPECT_TRUE(parse_strict_json("1e308"));
    for (const std::string_view text :
         {"01", "+1", ".5", "1.", "1e", "0x10", "NaN", "Infinity", "-", "1_0"}) {
        EXPECT_FALSE(parse_strict_json(text)) << text;
    }
}

TEST(StrictJson, RefusesRepeatedMembers) {
    const auto document = parse_strict_json("{\"a\":{\"b\":1,\n \"b\":2}}");
    ASSERT_FALSE(document);
    EXPECT_EQ(document.error().message, "this member is repeated");
    EXPECT_EQ(document.error().pointer, "/a/b");
    EXPECT_EQ(document.error().line, 2);
    EXPECT_FALSE(parse_strict_json(R"({"a":1,"\u0061":2})"));
    EXPECT_FALSE(parse_strict_json(R"({"":1,"":2})"));
    EXPECT_TRUE(parse_strict_json(R"([{"a":1},{"a":2}])"));
    EXPECT_TRUE(parse_strict_json(R"({"a":1,"A":2})"));
}

TEST(StrictJson, LimitsDepthWithoutUsingTheStack) {
    EXPECT_TRUE(parse_strict_json(nested(64)));
    EXPECT_EQ(problem(nested(65)), "nested deeper than 64 levels");
    EXPECT_TRUE(parse_strict_json(nested(2), {.max_depth = 2}));
    EXPECT_FALSE(parse_strict_json(R"([{"a":[]}])", {.max_depth = 2}));
    EXPECT_TRUE(parse_strict_json("1", {.max_depth = 0}));
    EXPECT_FALSE(parse_strict_json("[]", {.max_depth = 0}));
    EXPECT_FALSE(parse_strict_json(std::string(5'000'000, '[')));
    EXPECT_TRUE(parse_strict_json(nested(100'000), {.max_depth = 100'000}));
}

TEST(StrictJson, RefusesWhatOtherParsersReadDifferently) {
    using std::string_view_literals::operator""sv;
    for (const std::string_view text : {""sv,
                                        " "sv,
                                        "\xef\xbb\xbf{}"sv,
                                        "{}x"sv,
                                        "{} {}"sv,
                                        "{}\0"sv,
                                        "{}\0garbage"sv,
                                        "\0{}"sv,
                                        "\"a\0b\""sv,
                                        "[1,]"sv,
                                        "{\"a\":1,}"sv,
                                        "{a:1}"sv,
                                        "{'a':1}"sv,
                                        "[1 2]"sv,
                                        "// c\n1"sv,
                                        "1 /* c */"sv,
                                        "# c\n1"sv,
                                        "\"\\ud800\""sv,
                                        "\"\\udc00\""sv,
                                        "\"\\ud800\\u0041\""sv,
                                        "\"\\ud800x\""sv,
                                        "\"\\udc00\\ud800\""sv,
                                        "\"\\x41\""sv,
                                        "\"\\u00\""sv,
                                        "\"tab\there\""sv,
                                        "\"line\nhere\""sv,
                                        "\"\xff\""sv,
                                        "\"\xc0\x80\""sv,
                                        "\"\xed\xa0\x80\""sv,
                                        "True"sv,
                                        "nul"sv,
                                        "\"open"sv,
                                        "[1"sv,
                                        "{\"a\""sv,
                                        "{\"a\":"sv,
                                        "]"sv,
                                        "\v1"sv,
                                        "\xc2\xa0{}"sv}) {
        EXPECT_FALSE(parse_strict_json(text)) << text;
    }
}

TEST(StrictJson, AllowsCommentsOnlyWhereAsked) {
    const JsonLimits limits{.allow_comments = true};
    const auto document = parse_strict_json("// start\n{ /* here */ \"a\": 1 // there\n}\n/* end */", limits);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ((*document)["a"], 1);
    EXPECT_FALSE(parse_strict_json("/* open", limits));
    EXPECT_FALSE(parse_strict_json("# hash\n1", limits));
    EXPECT_FALSE(parse_strict_json("1 / 2", limits));
}

TEST(StrictJson, SaysWhereItStumbled) {
    const auto document = parse_strict_json("{\n  \"a\": [1, 2, x]\n}");
    ASSERT_FALSE(document);
    EXPECT_EQ(document.error().pointer, "/a/2");
    EXPECT_EQ(document.error().line, 2);
    EXPECT_EQ(document.error().column, 15);
    EXPECT_EQ(parse_strict_json(R"({"a/b~":[tru]})").error().pointer, "/a~1b~0/0");
    EXPECT_EQ(parse_strict_json("").error().line, 1);
    EXPECT_EQ(parse_strict_json("[1,").error().line, 1);
}

TEST(StrictJson, NeverQuotesTheTextInItsErrors) {
    for (const std::string_view text :
         {R"({"key": "secret-credential)", R"({"key": secret-credential})",
          "{\"key\": \"secret-credential\n\"}", R"({"key" "secret-credential"})"}) {
        EXPECT_EQ(problem(text).find("secret"), std::string::npos) << problem(text);
        EXPECT_NE(problem(text).find("syntax error"), std::string::npos) << problem(text);
    }
}

TEST(JsonPointer, EscapesItsTwoCharacters) {
    EXPECT_EQ(json_pointer_token("a/b~c"), "a~1b~0c");
    EXPECT_EQ(json_pointer_token("~1"), "~01");
    EXPECT_EQ(json_pointer_token(""), "");
}

}  // namespace
}  // namespace nomiqon
