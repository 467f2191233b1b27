#include "answer_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "anthropic_usage.h"
#include "anthropic_world.h"

// Rules 15 to 17, by the Messages API's answers; its own counters are in anthropic_answer_test.cpp.

namespace nomiqon::metering {
namespace {

using namespace testing;

const Usdc bound_of_all = Usdc::from_nanos(1'000'000'000);

std::unique_ptr<AnswerMeter> meter(std::map<std::string, Usdc> route_fees = {}) {
    AnswerTerms terms{
        .book = claude_book(), .provider = "anthropic", .model = "claude-x", .bound = bound_of_all};
    terms.route_fees = std::move(route_fees);
    return make_answer_meter(std::move(terms), make_anthropic_reader({}));
}

std::string charged(const Answer& answer) {
    return text(settle(*meter(), answer));
}

const std::string answered =
    R"({"type":"message","model":"claude-x","content":[{"type":"text","text":"Hi"}],)"
    R"("usage":{"input_tokens":100,"output_tokens":20}})";
// 100 × 3e-6 + 20 × 15e-6
const std::string its_price = "cost 0.000600";
const std::string provider_error =
    R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})";

TEST(AnswerRule15, TheUseThatTheAnswerReportsIsPriced) {
    EXPECT_EQ(charged({.body = answered}), its_price);
    EXPECT_EQ(charged({.type = "text/event-stream; charset=utf-8", .body = start + some_text + stop}),
              its_price);
    EXPECT_EQ(charged({.type = "TEXT/plain", .body = "\n " + answered}), its_price);
    EXPECT_EQ(charged({.type = "", .body = start + some_text + stop, .piece = 1}), its_price);
    for (std::size_t piece = 1; piece < 50; ++piece)
        EXPECT_EQ(charged({.body = answered, .piece = piece}), its_price);
}

TEST(AnswerRule15, TheModelThatTheAnswerNamesIsPriced) {
    std::string other = answered;
    other.replace(other.find("claude-x"), 8, "claude-small");
    const Charge charge = settle(*meter(), {.body = other});
    EXPECT_EQ(text(charge), "cost 0.000200");
    EXPECT_EQ(charge.model, "claude-small");
    EXPECT_EQ(recompute(charge.basis, *claude_book()), charge.cost);
}

TEST(AnswerRule15, WhatTheBookCantPriceIsTheBoundAtLeastAndAnAlarm) {
    std::string unknown = answered;
    unknown.replace(unknown.find("claude-x"), 8, "claude-\\u0007?");
    const Charge charge = settle(*meter(), {.body = unknown});
    EXPECT_EQ(text(charge), "cost 1.000000!");
    EXPECT_EQ(charge.model, "claude-??");
    EXPECT_EQ(recompute(charge.basis, *claude_book()), charge.cost);
    // More than the bound: what can be computed.
    const std::string large =
        R"({"model":"claude-x","content":[1],"usage":{"input_tokens":1000000,"output_tokens":20,"service_tier":"odd"}})";
    EXPECT_EQ(charged({.body = large}), "cost 3.000300!");
}

TEST(AnswerRule15, AChargeMayBeAboveTheBound) {
    const std::string large =
        R"({"model":"claude-x","content":[1],"usage":{"input_tokens":1,"output_tokens":100000}})";
    EXPECT_EQ(charged({.body = large}), "cost 1.500003");
}

TEST(AnswerRule15, CountersThatMakeNoSenseAreAnAlarm) {
    for (const std::string value : {"-1", "1e300", "\"20\"", "1.5", "99999999999999", "{}", "true"}) {
        const std::string body =
            R"({"model":"claude-x","content":[1],"usage":{"input_tokens":100,"output_tokens":)" + value +
            "}}";
        EXPECT_EQ(charged({.body = body}), "cost 1.000000!") << value;
    }
    EXPECT_EQ(charged({.body = R"({"content":[1],"usage":[]})"}), "cost 1.000000!");
    EXPECT_EQ(charged({.body = R"({"content":[1],"usage":null})"}), "in full 1.000000");
}

TEST(AnswerRule15, FeesOfTheRouteGoBeforeTheBooks) {
    std::string searched = answered;
    searched.replace(searched.find("\"output_tokens"), 0, R"("server_tool_use":{"web_search_requests":2},)");
    EXPECT_EQ(charged({.body = searched}), "cost 0.020600");
    const auto by_route = meter({{"web_search", Usdc::from_nanos(3)}});
    const Charge charge = settle(*by_route, {.body = searched});
    EXPECT_EQ(text(charge), "cost 0.000600006");
    EXPECT_EQ(recompute(charge.basis, *claude_book()), charge.cost);
}

TEST(AnswerRule16, ContentWithoutUseIsSettledInFull) {
    EXPECT_EQ(charged({.body = R"({"content":[{"type":"text","text":"Hi"}]})"}), "in full 1.000000");
    EXPECT_EQ(charged({.type = "text/event-stream", .body = start + some_text}), "in full 1.000000");
    EXPECT_EQ(charged({.type = "text/html", .body = "<html>"}), "in full 1.000000");
    EXPECT_EQ(charged({.type = "text/plain", .body = "ok"}), "in full 1.000000");
    EXPECT_EQ(charged({.body = ""}), "in full 1.000000");
    EXPECT_EQ(charged({.body = R"({"any":"thing"})"}), "in full 1.000000");
}

TEST(AnswerRule16, ZerosAreBelievedUnlessContentCame) {
    EXPECT_EQ(charged({.body = R"({"content":[],"usage":{"input_tokens":0,"output_tokens":0}})"}),
              "cost 0.000000");
    EXPECT_EQ(charged({.body = R"({"content":[1],"usage":{"input_tokens":0,"output_tokens":0}})"}),
              "in full 1.000000");
    EXPECT_EQ(charged({.body = R"({"content":[1],"usage":{"input_tokens":9,"output_tokens":0}})"}),
              "in full 1.000000");
    EXPECT_EQ(charged({.body = R"({"content":[],"usage":{"input_tokens":9,"output_tokens":0}})"}),
              "cost 0.000027");
}

TEST(AnswerRule16, WhatCantBeReadIsSettledInFull) {
    EXPECT_EQ(charged({.body = answered.substr(0, answered.size() - 1)}), "in full 1.000000!");
    EXPECT_TRUE(charged({.body = answered + "{}"}).ends_with(" 1.000000!"));
    // A repeated member: two readers could see two costs.
    std::string twice = answered;
    twice.insert(1, R"("usage":{"input_tokens":0,"output_tokens":0},)");
    EXPECT_EQ(charged({.body = twice}), "in full 1.000000!");
    EXPECT_EQ(charged({.body = answered, .coding = "gzip"}), "in full 1.000000!");
    EXPECT_EQ(charged({.body = answered, .coding = "unheard-of"}), "in full 1.000000");
    const std::string broken = start + some_text + "data: {\"usage\":\n\n" + stop;
    EXPECT_EQ(charged({.type = "text/event-stream", .body = broken}), "cost 1.000000!");
}

TEST(AnswerRule17, ARefusalCostsNothingUnlessUseIsReported) {
    for (const int status : {300, 304, 400, 401, 402, 404, 413, 422, 429, 498}) {
        EXPECT_EQ(charged({.status = status, .body = provider_error}), "cost 0.000000") << status;
        EXPECT_EQ(charged({.status = status, .type = "text/html", .body = "<html>"}), "cost 0.000000")
            << status;
        EXPECT_EQ(charged({.status = status}), "cost 0.000000") << status;
        EXPECT_EQ(charged({.status = status, .body = answered}), its_price) << status;
    }
}

TEST(AnswerRule17, AStormOf429sCostsNothing) {
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(charged({.status = 429, .body = provider_error, .piece = 7}), "cost 0.000000");
    }
}

TEST(AnswerRule17, TimeoutsAndServerErrorsAreUnknownUnlessTheProviderSaysSo) {
    for (const int status : {408, 499}) {
        EXPECT_EQ(charged({.status = status, .body = provider_error}), "unknown 1.000000");
    }
    for (const int status : {500, 502, 503, 504, 529, 599}) {
        EXPECT_EQ(charged({.status = status, .body = provider_error}), "cost 0.000000") << status;
        EXPECT_EQ(charged({.status = status, .type = "text/html", .body = "<html>"}), "unknown 1.000000")
            << status;
        EXPECT_EQ(charged({.status = status, .body = R"({"message":"bad gateway"})"}), "unknown 1.000000");
        EXPECT_EQ(charged({.status = status}), "unknown 1.000000") << status;
        const std::string used = R"({"error":{},"usage":{"input_tokens":100,"output_tokens":20}})";
        EXPECT_EQ(charged({.status = status, .body = used}), its_price) << status;
    }
    EXPECT_EQ(charged({.status = 600, .body = provider_error}), "unknown 1.000000");
}

TEST(AnswerRule17, ACutIsUnknownUntilTheLastCounterCame) {
    const std::string stream = start + some_text + stop;
    const std::size_t last = stream.find("event: message_stop");
    for (std::size_t size = 0; size <= stream.size(); ++size) {
        const Answer answer{
            .type = "text/event-stream", .body = stream.substr(0, size), .end = AnswerEnd::cut};
        EXPECT_EQ(charged(answer), size < last ? "unknown 1.000000" : its_price) << size;
    }
    for (std::size_t size = 0; size < answered.size(); ++size) {
        EXPECT_EQ(charged({.body = answered.substr(0, size), .end = AnswerEnd::cut}), "unknown 1.000000");
    }
    EXPECT_EQ(charged({.body = answered, .end = AnswerEnd::cut}), its_price);
    EXPECT_EQ(charged({.status = 429, .body = "{\"type\":", .end = AnswerEnd::cut}), "unknown 1.000000");
}

TEST(AnswerRule17, AnEndTooEarlyNeverCostsNothingOnceContentBegan) {
    const std::string stream = start + some_text + stop;
    const std::size_t begun = (start + some_text).find("\n\n", start.size());
    for (std::size_t size = begun + 2; size <= stream.size(); ++size) {
        const auto charge = settle(*meter(), {.type = "text/event-stream", .body = stream.substr(0, size)});
        EXPECT_GT(charge.cost, Usdc{}) << size;
        EXPECT_LE(charge.cost, bound_of_all) << size;
    }
}

TEST(AnswerRule17, AnErrorInsideAStreamCostsWhatBegan) {
    const std::string error = event("error", provider_error);
    const std::string type = "text/event-stream";
    EXPECT_EQ(charged({.type = type, .body = error}), "cost 0.000000");
    EXPECT_EQ(charged({.type = type, .body = start + error}), "cost 0.000000");
    EXPECT_EQ(charged({.type = type, .body = start + error, .end = AnswerEnd::cut}), "cost 0.000000");
    EXPECT_EQ(charged({.type = type, .body = start + some_text + error}), "in full 1.000000");
    EXPECT_EQ(charged({.type = type, .body = start + some_text + error, .end = AnswerEnd::cut}),
              "in full 1.000000");
    EXPECT_EQ(charged({.type = type, .body = start + some_text + stop + error}), its_price);
}

TEST(Answer, IsReadToItsEndPastAnyFinishMarker) {
    const std::string more =
        event("message_delta", R"({"type":"message_delta","usage":{"output_tokens":40}})");
    EXPECT_EQ(charged({.type = "text/event-stream", .body = start + some_text + stop + more}),
              "cost 0.000900");
}

std::string gzip(const std::string& text) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

TEST(Answer, ACodedBodyPassesUnchangedAndIsStillMetered) {
    for (const auto& [type, body] : {std::pair{"application/json", answered},
                                     std::pair{"text/event-stream", start + some_text + stop}}) {
        const std::string coded = gzip(body);
        for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, coded.size()}) {
            std::string out;
            const Answer answer{.type = type, .body = coded, .coding = "gzip", .piece = piece};
            EXPECT_EQ(text(settle(*meter(), answer, &out)), its_price);
            EXPECT_EQ(out, coded);
        }
        EXPECT_EQ(charged({.type = type, .body = coded.substr(0, coded.size() - 4), .coding = "gzip"}),
                  std::string{"cost 1.000000!"});
    }
}

TEST(Answer, ADecompressionBombEndsTheReadingNotTheGateway) {
    const std::string bomb = gzip(std::string(20'000'000, ' ') + answered);
    EXPECT_EQ(charged({.body = bomb, .coding = "gzip"}), its_price);
    EXPECT_EQ(charged({.body = gzip("{\"a\":\"" + std::string(20'000'000, 'a')), .coding = "gzip"}),
              "in full 1.000000!");
}

TEST(Answer, BytesPassUnchangedWhateverTheyAre) {
    const std::string stream = ": hi\r\n\r\n" + start + some_text + stop + "data: [DONE]\n\nrest";
    for (std::size_t piece = 1; piece < stream.size(); piece += 3) {
        std::string out;
        settle(*meter(), {.type = "text/event-stream", .body = stream, .piece = piece}, &out);
        EXPECT_EQ(out, stream);
        out.clear();
        settle(*meter(), {.body = stream, .piece = piece}, &out);
        EXPECT_EQ(out, stream);
    }
}

TEST(Answer, ACutStreamEndsWithTheErrorEvent) {
    const auto reader = meter();
    const Fields fields{{{"content-type", "text/event-stream"}}};
    reader->begin(200, fields.view());
    EXPECT_FALSE(reader->is_document());
    std::string out;
    reader->read(start + "event: content_block_delta\ndata: {\"ty", out);
    EXPECT_EQ(out, start);
    EXPECT_FALSE(reader->is_final());
    static_cast<void>(reader->end(AnswerEnd::cut, out));
    out += reader->error_event("upstream_timeout", "the \"provider\" hangs\n", "req_1");
    EXPECT_EQ(out,
              start +
                  "event: error\ndata: {\"error\":{\"message\":\"the \\\"provider\\\" hangs\\n\",\"type\":"
                  "\"upstream_timeout\"},\"request_id\":\"req_1\",\"type\":\"error\"}\n\n");
}

TEST(Answer, SaysWhetherItIsADocument) {
    const auto reader = meter();
    const Fields fields{{{"content-type", "application/json"}}};
    reader->begin(200, fields.view());
    EXPECT_TRUE(reader->is_document());
    EXPECT_FALSE(reader->is_final());
    EXPECT_EQ(reader->error_event("c", "m", "r"), "");
    std::string out;
    reader->read(answered, out);
    EXPECT_TRUE(reader->is_final());
}

TEST(Answer, AnImageOfThirtyMegabytesIsMetered) {
    const std::string body = R"({"model":"claude-x","content":[{"type":"image","data":")" +
                             std::string(30'000'000, 'A') +
                             R"("}],"usage":{"input_tokens":100,"output_tokens":20}})";
    EXPECT_EQ(charged({.body = body, .piece = 65536}), its_price);
    EXPECT_EQ(charged({.type = "text/event-stream",
                       .body = start + "data: {\"type\":\"content_block_delta\",\"delta\":{\"d\":\"" +
                               std::string(3'000'000, 'A') + "\"}}\n\n" + stop,
                       .piece = 65536}),
              its_price);
}

std::string flat(const Answer& answer, std::int64_t nanos = 8'000'000) {
    return text(settle(*make_flat_answer_meter(Usdc::from_nanos(nanos), "{}"), answer));
}

TEST(FlatAnswer, CostsItsPriceIfItIsServed) {
    EXPECT_EQ(flat({.body = "{}"}), "cost 0.008000");
    EXPECT_EQ(flat({.type = "text/html", .body = "<p>", .end = AnswerEnd::cut}), "unknown 0.008000");
    EXPECT_EQ(flat({.status = 204}), "cost 0.008000");
    EXPECT_EQ(flat({.status = 302}), "cost 0.000000");
    EXPECT_EQ(flat({.status = 429, .body = R"({"error":"slow down"})"}), "cost 0.000000");
    EXPECT_EQ(flat({.status = 429, .body = "{", .end = AnswerEnd::cut}), "unknown 0.008000");
    EXPECT_EQ(flat({.status = 500, .body = R"({"error":"sorry"})"}), "cost 0.000000");
    EXPECT_EQ(flat({.status = 502, .type = "text/html", .body = "bad gateway"}), "unknown 0.008000");
    EXPECT_EQ(flat({.status = 408}), "unknown 0.008000");
    EXPECT_EQ(flat({.status = 408}, 0), "cost 0.000000");
}

}  // namespace
}  // namespace nomiqon::metering
