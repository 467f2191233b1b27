#include "request_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

std::string name_of(const Refusal& refusal) {
    return std::string{info(refusal.code).name};
}

std::string read(std::string_view body, std::vector<Field> fields = {}, std::size_t limit = 1000) {
    std::string decoded;
    const auto document = read_json_body(
        {.method = "POST", .path = "/", .query = "", .fields = fields, .body = body}, limit, decoded);
    return document ? document->dump() : name_of(document.error());
}

TEST(RequestReader, Rule6RefusesWhatTwoParsersReadDifferently) {
    for (const std::string_view body :
         {R"({"n":1,"n":2})", R"({"a":{"n":1,"n":2}})", R"({"n":1} x)", R"({"n":1}{"n":2})", "\xef\xbb\xbf{}",
          "{\"a\":\"\xff\"}", R"({"a":"\ud800"})", "", " ", "[1]", "1", "null", R"({"n":1,})", R"({"n":01})",
          R"({n:1})", R"({"n":NaN})"}) {
        EXPECT_EQ(read(body), "bad_request") << body;
    }
    EXPECT_EQ(read(std::string{"{}"} + '\0'), "bad_request");
    EXPECT_EQ(read("{\"a\":\"é\"}"), "{\"a\":\"é\"}");
    EXPECT_EQ(read("{}", {{"content-type", "application/json; charset=utf-16"}}), "bad_request");
    EXPECT_EQ(read("{}", {{"content-type", "application/json; charset=UTF-8"}}), "{}");
}

TEST(RequestReader, Rule6NamesInASecondSpelling) {
    constexpr std::array<std::string_view, 3> names{"max_tokens", "n", "stream"};
    for (const std::string_view name :
         {"Max_Tokens", "maxTokens", "MAX_TOKENS", "max-tokens", "N", "maxtokens", "Stream"}) {
        EXPECT_FALSE(check_spelling(Json{{name, 1}}, names)) << name;
    }
    EXPECT_TRUE(check_spelling(Json{{"max_tokens", 1}, {"n", 2}, {"other", 3}}, names));
    EXPECT_TRUE(check_spelling(Json{1, 2}, names));
    constexpr std::array<std::string_view, 2> both{"maxOutputTokens", "max_output_tokens"};
    EXPECT_TRUE(check_spelling(Json{{"maxOutputTokens", 1}}, both));
    EXPECT_TRUE(check_spelling(Json{{"max_output_tokens", 1}}, both));
    EXPECT_FALSE(check_spelling(Json{{"max_output_tokens", 1}, {"maxOutputTokens", 1}}, both));
}

TEST(RequestReader, Rule6LimitsAreNonNegativeIntegers) {
    const auto limit = [](const char* json) {
        const auto read = read_limit(Json::parse(json), "n");
        return !read ? "refused" : *read ? std::to_string(**read) : "none";
    };
    EXPECT_EQ(limit(R"({"n":0})"), "0");
    EXPECT_EQ(limit(R"({"n":9223372036854775807})"), "9223372036854775807");
    EXPECT_EQ(limit(R"({"n":null})"), "none");
    EXPECT_EQ(limit("{}"), "none");
    for (const char* json : {R"({"n":-1})", R"({"n":1.0})", R"({"n":1e3})", R"({"n":"5"})", R"({"n":true})",
                             R"({"n":[1]})", R"({"n":9223372036854775808})"}) {
        EXPECT_EQ(limit(json), "refused") << json;
    }
}

TEST(RequestReader, Rule6HeadersThatOverrideAreRefused) {
    for (const std::string_view name : {"X-HTTP-Method-Override", "x-method-override", "X-HTTP-Method",
                                        "X-Original-URL", "x-rewrite-url"}) {
        EXPECT_FALSE(check_fields(std::vector<Field>{{name, "GET"}})) << name;
    }
    EXPECT_TRUE(
        check_fields(std::vector<Field>{{"X-Other", "1"}, {"Content-Type", "a"}, {"content-type", "a "}}));
    EXPECT_FALSE(check_fields(std::vector<Field>{{"Content-Type", "a"}, {"content-type", "b"}}));
    EXPECT_FALSE(check_fields(std::vector<Field>{{"Content-Encoding", "gzip"}, {"content-encoding", ""}}));
    EXPECT_EQ(field_value(std::vector<Field>{{"A", "1"}, {"CONTENT-type", " x "}}, "content-type"), "x");
}

TEST(RequestReader, Rule7DecodesWithinTheLimit) {
    const std::string gzip{
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00", 22};
    EXPECT_EQ(read(gzip, {{"Content-Encoding", "gzip"}}), "{}");
    EXPECT_EQ(read(gzip.substr(0, 20), {{"Content-Encoding", "gzip"}}), "bad_request");
    EXPECT_EQ(read(gzip + "x", {{"Content-Encoding", "gzip"}}), "bad_request");
    EXPECT_EQ(read(gzip, {{"Content-Encoding", "gzip"}}, 1), "request_too_large");
    EXPECT_EQ(read("{}", {{"Content-Encoding", "gzip"}}), "bad_request");
    EXPECT_EQ(read("{}", {{"Content-Encoding", "snappy"}}), "bad_request");
    EXPECT_EQ(read("{}", {{"Content-Encoding", "identity"}}), "{}");
    EXPECT_EQ(read("{}", {}, 1), "request_too_large");
}

TEST(RequestReader, AMemberIsWrittenAndEveryOtherByteStays) {
    const auto with = [](std::string body, std::string_view name, std::string_view value) {
        set_member(body, name, value);
        return body;
    };
    EXPECT_EQ(with("{}", "a", "1"), R"({"a":1})");
    EXPECT_EQ(with(" { } ", "a", "1"), R"( {"a":1 } )");
    EXPECT_EQ(with(R"({"b" : 2})", "a", "1"), R"({"a":1,"b" : 2})");
    EXPECT_EQ(with(R"({ "a" : 2.5e3 , "b":1})", "a", "1"), R"({ "a" : 1 , "b":1})");
    EXPECT_EQ(with(R"({"x":{"a":3},"a":{"q":["}","\"",{}]},"b":1})", "a", "1"),
              R"({"x":{"a":3},"a":1,"b":1})");
    EXPECT_EQ(with(R"({"\u0061":null})", "a", "1"), R"({"\u0061":1})");
    EXPECT_EQ(with(R"({"x":"\"a\":5","a":"s\\"})", "a", "1"), R"({"x":"\"a\":5","a":1})");
    EXPECT_EQ(with(R"({"x":[1,2],"a":true})", "a", "{}"), R"({"x":[1,2],"a":{}})");
}

}  // namespace
}  // namespace nomiqon::metering
