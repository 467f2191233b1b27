#include "response_head.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace nomiqon::proxy {
namespace {

ResponseHead accepted(std::string_view bytes, bool to_head = false) {
    auto head = ResponseHeadReader{{}, to_head}.read(bytes);
    EXPECT_TRUE(head) << bytes << "\n→ " << (head ? "" : head.error().detail);
    if (!head || !*head) {
        ADD_FAILURE() << "not complete: " << bytes;
        return {};
    }
    return std::move(**head);
}

struct Row {
    std::string_view name;
    std::string bytes;
};

void expect_all_malformed(const std::vector<Row>& rows) {
    for (const auto& row : rows) {
        SCOPED_TRACE(std::string{row.name});
        const auto head = ResponseHeadReader{{}, false}.read(row.bytes);
        if (head) {
            ADD_FAILURE() << (*head ? "accepted" : "waits for more");
            continue;
        }
        EXPECT_EQ(head.error().code, RefusalCode::upstream_unreachable);
        EXPECT_TRUE(head.error().detail.starts_with("malformed answer")) << head.error().detail;
    }
}

std::string ok(std::string_view lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string{lines} + "\r\n";
}

TEST(ResponseHead, ReadsStatusReasonAndFields) {
    const std::string bytes =
        "HTTP/1.1 404 Not  Found\r\nContent-Length: 3\r\nSet-Cookie: a\r\nB: c\r\nset-cookie: d\r\n\r\n";
    const auto head = accepted(bytes + "abc");
    EXPECT_EQ(head.status, 404);
    EXPECT_EQ(head.reason, "Not  Found");
    EXPECT_EQ(head.minor_version, 1);
    EXPECT_EQ(head.consumed, bytes.size());
    EXPECT_EQ(head.body, (BodyFraming{.kind = BodyKind::length, .length = 3}));
    const HeaderFields fields{{"Content-Length", "3"}, {"Set-Cookie", "a"}, {"B", "c"}, {"set-cookie", "d"}};
    EXPECT_EQ(head.headers, fields);
    EXPECT_TRUE(head.keep_alive);
}

TEST(ResponseHead, TheReasonMayBeEmpty) {
    EXPECT_EQ(accepted("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").reason, "");
}

TEST(ResponseHead, AnyFragmentationReadsTheSame) {
    const std::string bytes = ok("Transfer-Encoding: chunked\r\n");
    ResponseHeadReader reader{{}, false};
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto head = reader.read(std::string_view{bytes}.substr(0, size));
        ASSERT_TRUE(head && !*head) << size;
    }
    const auto head = reader.read(bytes);
    ASSERT_TRUE(head && *head);
    EXPECT_EQ((*head)->body.kind, BodyKind::chunked);
}

TEST(ResponseHead, FramingIsWhatRfc9112Says) {
    EXPECT_EQ(accepted(ok("Content-Length: 5\r\n")).body,
              (BodyFraming{.kind = BodyKind::length, .length = 5}));
    EXPECT_EQ(accepted(ok("Content-Length: 0\r\n")).body, (BodyFraming{.kind = BodyKind::length}));
    EXPECT_EQ(accepted(ok("Transfer-Encoding: Chunked\r\n")).body.kind, BodyKind::chunked);
    EXPECT_EQ(accepted(ok("")).body.kind, BodyKind::until_close);
    EXPECT_EQ(accepted("HTTP/1.0 200 OK\r\n\r\n").body.kind, BodyKind::until_close);
    EXPECT_EQ(accepted("HTTP/1.1 204 No Content\r\n\r\n").body.kind, BodyKind::none);
    EXPECT_EQ(accepted("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").body.kind, BodyKind::none);
    EXPECT_EQ(accepted("HTTP/1.1 100 Continue\r\n\r\n").body.kind, BodyKind::none);
    EXPECT_EQ(accepted("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").body.kind, BodyKind::none);
}

TEST(ResponseHead, AnAnswerToHeadHasNoBodyButKeepsItsLength) {
    const auto head = accepted(ok("Content-Length: 5\r\n"), true);
    EXPECT_EQ(head.body.kind, BodyKind::none);
    EXPECT_EQ(head.content_length, 5U);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_EQ(accepted(ok("Transfer-Encoding: chunked\r\n"), true).body.kind, BodyKind::none);
    EXPECT_EQ(accepted(ok(""), true).body.kind, BodyKind::none);
}

TEST(ResponseHead, InformationalAnswersAreTold) {
    EXPECT_TRUE(accepted("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").informational());
    EXPECT_FALSE(accepted(ok("Content-Length: 0\r\n")).informational());
}

TEST(ResponseHead, TheConnectionLastsOnlyWhereItIsSure) {
    EXPECT_TRUE(accepted(ok("Content-Length: 0\r\n")).keep_alive);
    EXPECT_FALSE(accepted(ok("Content-Length: 0\r\nConnection: Close\r\n")).keep_alive);
    EXPECT_FALSE(accepted(ok("")).keep_alive);
    EXPECT_FALSE(accepted("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
    EXPECT_TRUE(
        accepted("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    EXPECT_TRUE(accepted("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").keep_alive);
    EXPECT_FALSE(accepted("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").keep_alive);
    EXPECT_FALSE(accepted("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n").keep_alive);
}

TEST(ResponseHead, StatusLinesThatAreNoneAreMalformed) {
    expect_all_malformed({
        {"HTTP/2", "HTTP/2 200 OK\r\n\r\n"},
        {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"},
        {"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"},
        {"ICY", "ICY 200 OK\r\n\r\n"},
        {"lower case", "http/1.1 200 OK\r\n\r\n"},
        {"two digits", "HTTP/1.1 20 OK\r\n\r\n"},
        {"four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
        {"zero first", "HTTP/1.1 020 OK\r\n\r\n"},
        {"sign", "HTTP/1.1 +20 OK\r\n\r\n"},
        {"letters", "HTTP/1.1 2xx OK\r\n\r\n"},
        {"two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
        {"no space behind the status", "HTTP/1.1 200\r\n\r\n"},
        {"tab", "HTTP/1.1\t200 OK\r\n\r\n"},
        {"leading empty line", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
        {"no head at all", "<html>\r\n\r\n"},
        {"HTTP/0.9 answer", "hello\n"},
        {"TLS", std::string{"\x15\x03\x01", 3}},
    });
}

TEST(ResponseHead, WhatTwoReadersCouldFrameDifferentlyIsMalformed) {
    expect_all_malformed({
        {"two lengths", ok("Content-Length: 5\r\nContent-Length: 6\r\n")},
        {"two equal lengths", ok("Content-Length: 5\r\nContent-Length: 5\r\n")},
        {"list of lengths", ok("Content-Length: 5, 5\r\n")},
        {"negative length", ok("Content-Length: -5\r\n")},
        {"plus sign", ok("Content-Length: +5\r\n")},
        {"length that overflows", ok("Content-Length: 99999999999999999999\r\n")},
        {"length and chunked", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
        {"gzip", ok("Transfer-Encoding: gzip\r\n")},
        {"gzip, chunked", ok("Transfer-Encoding: gzip, chunked\r\n")},
        {"identity", ok("Transfer-Encoding: identity\r\n")},
        {"chunked twice", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        {"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"folded line", ok("A: b\r\n c\r\n")},
        {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
        {"bare CR", ok("A: b\rContent-Length: 0\r\n")},
        {"NUL in a value", ok(std::string_view{"A: b\0\r\n", 7})},
        {"control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n"},
        {"space before the colon", ok("Content-Length : 5\r\n")},
        {"empty name", ok(": b\r\n")},
        {"no colon", ok("Content-Length\r\n")},
    });
}

TEST(ResponseHead, LimitsHold) {
    const std::string bytes = ok("A: " + std::string(500, 'x') + "\r\n");
    EXPECT_TRUE((ResponseHeadReader{{.bytes = bytes.size(), .count = 1}, false}.read(bytes)));
    EXPECT_FALSE((ResponseHeadReader{{.bytes = bytes.size() - 1, .count = 1}, false}.read(bytes)));
    EXPECT_FALSE((ResponseHeadReader{{.bytes = 1000, .count = 1}, false}.read(ok("A: b\r\nC: d\r\n"))));
}

}  // namespace
}  // namespace nomiqon::proxy
