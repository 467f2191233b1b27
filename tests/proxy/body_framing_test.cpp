#include "body_framing.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace nomiqon::proxy {
namespace {

using Kind = BodyProblem::Kind;

struct Read {
    std::string data, rest;
    bool complete = false;
    HeaderFields trailers;
    std::optional<BodyProblem> problem;
};

/// Feeds `bytes` in pieces of `piece` bytes.
Read read_all(BodyReader reader, std::string_view bytes, std::size_t piece = SIZE_MAX) {
    Read result;
    while (!bytes.empty() && !reader.complete()) {
        auto input = bytes.substr(0, piece);
        while (!input.empty() && !reader.complete()) {
            const auto step = reader.read(input);
            if (!step) {
                result.problem = step.error();
                return result;
            }
            EXPECT_TRUE(step->consumed > 0 || step->complete) << "no progress";
            EXPECT_EQ(step->complete, reader.complete());
            result.data += step->data;
            input.remove_prefix(step->consumed);
            bytes.remove_prefix(step->consumed);
        }
    }
    result.rest = bytes;
    result.complete = reader.complete();
    result.trailers = reader.trailers();
    EXPECT_EQ(reader.bytes(), result.data.size());
    return result;
}

BodyReader chunked(BodyLimits limits = {}) {
    return {{.kind = BodyKind::chunked}, limits};
}
BodyReader length(std::uint64_t bytes, BodyLimits limits = {}) {
    return {{.kind = BodyKind::length, .length = bytes}, limits};
}

struct Row {
    std::string_view name;
    std::string bytes;
};

void expect_all(Kind kind, const std::vector<Row>& rows, BodyLimits limits = {}) {
    for (const auto& row : rows) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{SIZE_MAX}}) {
            SCOPED_TRACE(std::string{row.name} + (piece == 1 ? ", byte by byte" : ""));
            const auto result = read_all(chunked(limits), row.bytes, piece);
            if (!result.problem) {
                ADD_FAILURE() << "accepted, complete: " << result.complete;
                continue;
            }
            EXPECT_EQ(result.problem->kind, kind) << result.problem->detail;
            EXPECT_FALSE(result.complete);
        }
    }
}

TEST(BodyReader, NoBodyIsCompleteAtOnce) {
    EXPECT_TRUE((BodyReader{{}, {}}.complete()));
    EXPECT_TRUE(length(0).complete());
    const auto result = read_all(BodyReader{{}, {}}, "GET");
    EXPECT_EQ(result.rest, "GET");
}

TEST(BodyReader, ALengthTakesExactlySoMuch) {
    for (const std::size_t piece : {1, 2, 3, 100}) {
        const auto result = read_all(length(5), "helloGET / HTTP/1.1", piece);
        EXPECT_TRUE(result.complete);
        EXPECT_EQ(result.data, "hello");
        EXPECT_EQ(result.rest, "GET / HTTP/1.1");
    }
}

TEST(BodyReader, UntilCloseIsEndedByTheClose) {
    BodyReader reader{{.kind = BodyKind::until_close}, {}};
    EXPECT_EQ(reader.read("abc")->data, "abc");
    EXPECT_FALSE(reader.complete());
    EXPECT_TRUE(reader.finish());
    EXPECT_TRUE(reader.complete());
}

TEST(BodyReader, AnEarlyCloseIsTruncation) {
    auto by_length = length(5);
    ASSERT_TRUE(by_length.read("hell"));
    EXPECT_EQ(by_length.finish().error().kind, Kind::truncated);
    for (const std::string_view so_far :
         {"", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\nA: b\r\n"}) {
        auto reader = chunked();
        auto rest = so_far;
        while (!rest.empty())
            rest.remove_prefix(reader.read(rest)->consumed);
        const auto end = reader.finish();
        ASSERT_FALSE(end) << so_far;
        EXPECT_EQ(end.error().kind, Kind::truncated);
    }
    auto whole = length(1);
    ASSERT_TRUE(whole.read("x"));
    EXPECT_TRUE(whole.finish());
}

TEST(BodyReader, ChunksAreJoinedInAnyFragmentation) {
    const std::string bytes = "5\r\nhello\r\n1;name=value\r\n \r\n00a\r\n0123456789\r\n0\r\n\r\nGET";
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        const auto result = read_all(chunked(), bytes, piece);
        ASSERT_FALSE(result.problem) << piece << ": " << result.problem->detail;
        EXPECT_TRUE(result.complete);
        EXPECT_EQ(result.data, "hello 0123456789");
        EXPECT_EQ(result.rest, "GET");
    }
}

TEST(BodyReader, DataMayLookLikeFraming) {
    EXPECT_EQ(read_all(chunked(), "7\r\n0\r\n\r\n5\r\r\n0\r\n\r\n").data, "0\r\n\r\n5\r");
    const auto result = read_all(chunked(), "5\r\n0\r\n\r\n\r\n0\r\n\r\nrest");
    EXPECT_EQ(result.data, "0\r\n\r\n");
    EXPECT_EQ(result.rest, "rest");
}

TEST(BodyReader, HexDigitsOfBothCasesCount) {
    EXPECT_EQ(read_all(chunked(), "A\r\n0123456789\r\n0\r\n\r\n").data, "0123456789");
    EXPECT_EQ(read_all(chunked(), "a\r\n0123456789\r\n000\r\n\r\n").data, "0123456789");
}

TEST(BodyReader, SizesThatTwoReadersCouldReadDifferentlyAreMalformed) {
    expect_all(Kind::malformed, {
                                    {"empty", "\r\n"},
                                    {"extension alone", ";a=b\r\n"},
                                    {"prefix 0x", "0x5\r\nhello\r\n0\r\n\r\n"},
                                    {"plus sign", "+5\r\nhello\r\n0\r\n\r\n"},
                                    {"minus sign", "-5\r\nhello\r\n0\r\n\r\n"},
                                    {"leading space", " 5\r\nhello\r\n0\r\n\r\n"},
                                    {"trailing space", "5 \r\nhello\r\n0\r\n\r\n"},
                                    {"trailing tab", "5\t\r\nhello\r\n0\r\n\r\n"},
                                    {"space before the extension", "5 ;a=b\r\nhello\r\n0\r\n\r\n"},
                                    {"underscore", "1_0\r\n"},
                                    {"no hexadecimal digit", "g\r\n"},
                                    {"comma", "5,\r\nhello\r\n0\r\n\r\n"},
                                    {"17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"},
                                    {"overflow of 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"},
                                    {"quotes", "\"5\"\r\nhello\r\n0\r\n\r\n"},
                                    {"NUL", std::string{"5\0\r\nhello\r\n0\r\n\r\n", 17}},
                                    {"text", "hello"},
                                });
}

TEST(BodyReader, LineEndsOtherThanCrlfAreMalformed) {
    expect_all(Kind::malformed, {
                                    {"bare LF behind the size", "5\nhello\r\n0\r\n\r\n"},
                                    {"bare CR behind the size", "5\rhello\r\n0\r\n\r\n"},
                                    {"CR CR LF", "5\r\r\nhello\r\n0\r\n\r\n"},
                                    {"bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"},
                                    {"bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"},
                                    {"bare LF behind the data", "5\r\nhello\n0\r\n\r\n"},
                                    {"bare CR behind the data", "5\r\nhello\r0\r\n\r\n"},
                                    {"nothing behind the data", "5\r\nhello0\r\n\r\n"},
                                    {"data longer than the size", "5\r\nhello!\r\n0\r\n\r\n"},
                                    {"data shorter than the size", "6\r\nhello\r\n0\r\n\r\n"},
                                    {"bare LF behind the last chunk", "0\n\r\n"},
                                    {"bare LF as the empty line", "0\r\n\n"},
                                    {"bare CR as the empty line", "0\r\n\rx"},
                                    {"empty line before a chunk", "5\r\nhello\r\n\r\n0\r\n\r\n"},
                                });
}

TEST(BodyReader, ExtensionsAreSkippedWithinLimits) {
    EXPECT_EQ(read_all(chunked(), "5;a=\"b;\\\"c\";d\t=\xc3\xa4\r\nhello\r\n0;last\r\n\r\n").data, "hello");
    expect_all(Kind::malformed, {{"control character", "5;a\x01\r\n"}, {"NUL", std::string{"5;\0\r\n", 5}}});

    const BodyLimits limits{.chunk_line_bytes = 20, .extension_bytes = 50};
    expect_all(Kind::too_large, {{"one long line", "5;" + std::string(30, 'x')}}, limits);
    std::string many;
    for (int i = 0; i < 10; ++i)
        many += "1;abcdefghij\r\nx\r\n";
    expect_all(Kind::too_large, {{"many short ones", many}}, limits);
}

TEST(BodyReader, TheLimitIsOnDataAndHoldsBeforeItArrives) {
    const BodyLimits limits{.bytes = 10};
    EXPECT_TRUE(read_all(length(10, limits), "0123456789").complete);
    EXPECT_EQ(read_all(length(11, limits), "0").problem->kind, Kind::too_large);
    EXPECT_EQ(check_declared_length({.kind = BodyKind::length, .length = 11}, limits).error().kind,
              Kind::too_large);
    EXPECT_TRUE(check_declared_length({.kind = BodyKind::length, .length = 10}, limits));
    EXPECT_TRUE(check_declared_length({.kind = BodyKind::chunked}, limits));

    EXPECT_TRUE(read_all(chunked(limits), "a\r\n0123456789\r\n0\r\n\r\n").complete);
    expect_all(Kind::too_large,
               {{"one chunk", "b\r\n"},
                {"the sum", "a\r\n0123456789\r\n1\r\n"},
                {"as large as 64 bits", "ffffffffffffffff\r\n"},
                {"sum that wraps around", "1\r\nx\r\nffffffffffffffff\r\n"}},
               limits);

    BodyReader until_close{{.kind = BodyKind::until_close}, limits};
    EXPECT_TRUE(until_close.read("0123456789"));
    EXPECT_EQ(until_close.read("x").error().kind, Kind::too_large);
}

TEST(BodyReader, WithoutALimitTheLargestChunkStillCannotWrapAround) {
    const BodyLimits unlimited{.bytes = UINT64_MAX};
    expect_all(Kind::too_large, {{"wraps", "1\r\nx\r\nffffffffffffffff\r\n"}}, unlimited);
    auto reader = chunked(unlimited);
    EXPECT_TRUE(reader.read("ffffffffffffffff\r\nabc"));
}

TEST(BodyReader, TrailersAreKeptApart) {
    const auto result =
        read_all(chunked(), "0\r\nX-Checksum:  abc \r\nServer-Timing: a\r\nx-checksum: def\r\n\r\nrest", 1);
    ASSERT_TRUE(result.complete);
    const HeaderFields trailers{{"X-Checksum", "abc"}, {"Server-Timing", "a"}, {"x-checksum", "def"}};
    EXPECT_EQ(result.trailers, trailers);
    EXPECT_EQ(result.rest, "rest");
}

TEST(BodyReader, ForbiddenTrailersAreDropped) {
    for (const std::string name : {"Content-Length",
                                   "content-length",
                                   "Transfer-Encoding",
                                   "Host",
                                   "Trailer",
                                   "Connection",
                                   "TE",
                                   "Upgrade",
                                   "Keep-Alive",
                                   "Proxy-Connection",
                                   "Content-Type",
                                   "Content-Encoding",
                                   "Content-Range",
                                   "Authorization",
                                   "Proxy-Authorization",
                                   "Proxy-Authenticate",
                                   "WWW-Authenticate",
                                   "Set-Cookie",
                                   "Cookie",
                                   "Cache-Control",
                                   "Expect",
                                   "Max-Forwards",
                                   "X-Nomiqon-Spend-Token",
                                   "x-nomiqon-error",
                                   "X_Nomiqon_Agent_Id",
                                   "Location",
                                   "X-Forwarded-For"}) {
        const auto result = read_all(chunked(), "0\r\n" + name + ": 5\r\nKept: yes\r\n\r\n");
        ASSERT_TRUE(result.complete) << name;
        const HeaderFields kept{{"Kept", "yes"}};
        EXPECT_EQ(result.trailers, kept) << name;
    }
}

TEST(BodyReader, TrailersAreAsStrictAsTheHead) {
    expect_all(Kind::malformed,
               {
                   {"folded", "0\r\nA: b\r\n c\r\n\r\n"},
                   {"no colon", "0\r\nA\r\n\r\n"},
                   {"space before the colon", "0\r\nA : b\r\n\r\n"},
                   {"empty name", "0\r\n: b\r\n\r\n"},
                   {"bare LF", "0\r\nA: b\n\r\n"},
                   {"bare CR", "0\r\nA: b\rC: d\r\n\r\n"},
                   {"control character", "0\r\nA: \x02\r\n\r\n"},
                   {"NUL", std::string{"0\r\nA: \0\r\n\r\n", 11}},
                   {"the next request behind a missing empty line", "0\r\nGET / HTTP/1.1\r\n\r\n"},
                   {"forbidden and malformed", "0\r\nContent-Length : 5\r\n\r\n"},
               });
    const BodyLimits limits{.trailers = {.bytes = 30, .count = 2}};
    EXPECT_TRUE(read_all(chunked(limits), "0\r\nA: b\r\nC: d\r\n\r\n").complete);
    expect_all(Kind::too_large,
               {{"too many", "0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"},
                {"too many that are dropped", "0\r\nTE: b\r\nTE: d\r\nTE: f\r\n\r\n"},
                {"too long", "0\r\nA: " + std::string(40, 'x')}},
               limits);
}

TEST(BodyReader, NothingIsReadAfterAnError) {
    auto reader = chunked();
    EXPECT_FALSE(reader.read("x"));
    EXPECT_FALSE(reader.read("0\r\n\r\n"));
    EXPECT_FALSE(reader.complete());
    EXPECT_FALSE(reader.finish());
}

TEST(BodyReader, ACompleteBodyTouchesNothingMore) {
    auto reader = length(1);
    ASSERT_TRUE(reader.read("x"));
    const auto step = reader.read("GET");
    ASSERT_TRUE(step);
    EXPECT_EQ(step->consumed, 0U);
    EXPECT_TRUE(step->complete);
}

TEST(BodyEncoding, ChunksReadBackAsTheyWereWritten) {
    EXPECT_EQ(encode_chunk_head(26), "1a\r\n");
    EXPECT_EQ(encode_chunk_head(UINT64_MAX), "ffffffffffffffff\r\n");
    EXPECT_EQ(encode_last_chunk(), "0\r\n\r\n");
    const std::string data(300, 'd');
    const HeaderFields trailers{{"A", "b"}, {"C", "d e"}};
    const std::string bytes =
        encode_chunk_head(data.size()) + data + std::string{chunk_end} + encode_last_chunk(trailers);
    const auto result = read_all(chunked(), bytes, 7);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.data, data);
    EXPECT_EQ(result.trailers, trailers);
}

TEST(BodyProblems, BecomeTheRefusalOfTheirSide) {
    EXPECT_EQ(request_refusal({.kind = Kind::malformed}).code, RefusalCode::bad_request);
    EXPECT_EQ(request_refusal({.kind = Kind::truncated}).code, RefusalCode::bad_request);
    EXPECT_EQ(request_refusal({.kind = Kind::too_large}).code, RefusalCode::request_too_large);
    EXPECT_EQ(answer_refusal({.kind = Kind::too_large}).code, RefusalCode::upstream_unreachable);
}

}  // namespace
}  // namespace nomiqon::proxy
