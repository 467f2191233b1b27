#include "forwarded_head.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace nomiqon::proxy {
namespace {

RequestHead request(std::string_view lines,
                    std::string_view line = "POST http://example.com/a?b=c HTTP/1.1") {
    const std::string bytes = std::string{line} + "\r\nHost: example.com\r\n" + std::string{lines} + "\r\n";
    auto head = RequestHeadReader{{}}.read(bytes);
    if (!head || !*head) {
        ADD_FAILURE() << bytes;
        return {};
    }
    return std::move(**head);
}

/// What goes upstream of a request with these field lines.
std::string upstream(std::string_view lines, std::string_view endpoint = "example.com:80") {
    const auto head = request(lines);
    return upstream_request_head(head, {.target = *Endpoint::parse(endpoint), .body = head.framing()});
}
std::string expected(std::string_view lines) {
    return "POST /a?b=c HTTP/1.1\r\nHost: example.com\r\n" + std::string{lines} + "\r\n";
}

ResponseHead response(std::string_view lines, std::string_view line = "HTTP/1.1 200 OK",
                      bool to_head = false) {
    const std::string bytes = std::string{line} + "\r\n" + std::string{lines} + "\r\n";
    auto head = ResponseHeadReader{{}, to_head}.read(bytes);
    if (!head || !*head) {
        ADD_FAILURE() << bytes;
        return {};
    }
    return std::move(**head);
}
std::string ok(std::string_view lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string{lines} + "\r\n";
}

TEST(UpstreamRequest, IsInOriginFormWithHostFirst) {
    EXPECT_EQ(upstream("Accept: */*\r\nX-A: 1\r\nx-a: 2\r\n"),
              expected("Accept: */*\r\nX-A: 1\r\nx-a: 2\r\n"));
}

TEST(UpstreamRequest, HostIsTheTargetsNotTheClients) {
    const auto head = request("");
    const auto to = [&](std::string_view endpoint, Scheme scheme) {
        const auto bytes =
            upstream_request_head(head, {.target = *Endpoint::parse(endpoint), .scheme = scheme});
        return bytes.substr(bytes.find("Host: "), bytes.find("\r\n\r\n") - bytes.find("Host: "));
    };
    EXPECT_EQ(to("other.example:80", Scheme::http), "Host: other.example");
    EXPECT_EQ(to("other.example:8080", Scheme::http), "Host: other.example:8080");
    EXPECT_EQ(to("other.example:443", Scheme::http), "Host: other.example:443");
    EXPECT_EQ(to("other.example:443", Scheme::https), "Host: other.example");
    EXPECT_EQ(to("[2001:db8::1]:80", Scheme::http), "Host: [2001:db8::1]");
}

TEST(UpstreamRequest, HopByHopFieldsEndHere) {
    EXPECT_EQ(
        upstream("Connection: keep-alive, X-Named\r\nX-Named: 1\r\nx-NAMED: 2\r\nKeep-Alive: timeout=5\r\n"
                 "Proxy-Connection: X-Other\r\nX-Other: 3\r\nTE: trailers\r\nUpgrade: h2c\r\nTrailer: X\r\n"
                 "Proxy-Authenticate: Basic\r\nAccept: */*\r\n"),
        expected("Accept: */*\r\n"));
}

TEST(UpstreamRequest, CredentialsAndFieldsOfOursNeverLeave) {
    EXPECT_EQ(upstream("Proxy-Authorization: Bearer secret\r\nX-Nomiqon-Spend-Token: "
                       "secret\r\nX-Nomiqon-Agent-Id: ag_1\r\n"
                       "x-nomiqon-anything: secret\r\nX_Nomiqon_Spend_Token: secret\r\nAuthorization: Bearer "
                       "the-providers\r\n"),
              expected("Authorization: Bearer the-providers\r\n"));
}

TEST(UpstreamRequest, NothingTellsOfTheAgent) {
    EXPECT_EQ(upstream("Via: 1.1 agent\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: "
                       "10.0.0.1\r\n"),
              expected(""));
}

TEST(UpstreamRequest, ConnectionCannotRemoveWhatWasPriced) {
    EXPECT_EQ(
        upstream("Connection: Host, Content-Length, Content-Type, Content-Encoding, Authorization, close\r\n"
                 "Content-Type: application/json\r\nContent-Encoding: gzip\r\nAuthorization: "
                 "a\r\nContent-Length: 5\r\n"),
        expected("Content-Type: application/json\r\nContent-Encoding: gzip\r\nAuthorization: "
                 "a\r\nContent-Length: 5\r\n"));
    EXPECT_EQ(upstream("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
              expected("Transfer-Encoding: chunked\r\n"));
}

TEST(UpstreamRequest, FramingIsMadeAnew) {
    EXPECT_EQ(upstream("content-length: 007\r\nA: b\r\n"), expected("A: b\r\nContent-Length: 7\r\n"));
    EXPECT_EQ(upstream("Content-Length: 0\r\n"), expected("Content-Length: 0\r\n"));
    EXPECT_EQ(upstream("transfer-encoding: CHUNKED\r\nA: b\r\n"),
              expected("A: b\r\nTransfer-Encoding: chunked\r\n"));
    const auto head = request("Transfer-Encoding: chunked\r\n");
    EXPECT_EQ(upstream_request_head(head, {.target = *Endpoint::parse("example.com:80"),
                                           .body = {.kind = BodyKind::length, .length = 12}}),
              expected("Content-Length: 12\r\n"));
}

TEST(UpstreamRequest, TrailersAreAnnouncedOnlyWhereTheyAreRelayed) {
    EXPECT_EQ(upstream("Transfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length, Host, bad name\r\n"),
              expected("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"));
    EXPECT_EQ(upstream("Content-Length: 5\r\nTrailer: X-Sum\r\n"), expected("Content-Length: 5\r\n"));
}

TEST(UpstreamRequest, ExpectIsAnsweredHere) {
    EXPECT_EQ(upstream("Expect: 100-continue\r\n"), expected(""));
}

TEST(UpstreamRequest, SaysWhenTheConnectionIsNotUsedAgain) {
    const auto head = request("Connection: keep-alive\r\n");
    EXPECT_EQ(
        upstream_request_head(head, {.target = *Endpoint::parse("example.com:80"), .keep_alive = false}),
        expected("Connection: close\r\n"));
}

TEST(UpstreamRequest, OptionsOfAWholeServerIsAnAsterisk) {
    const auto head = request("", "OPTIONS http://example.com HTTP/1.1");
    EXPECT_TRUE(upstream_request_head(head, {.target = *Endpoint::parse("example.com:80")})
                    .starts_with("OPTIONS * HTTP/1.1\r\nHost: example.com\r\n"));
}

TEST(UpstreamRequest, AnHttp10RequestGoesOnAsHttp11) {
    const auto head = request("", "GET http://example.com/ HTTP/1.0");
    EXPECT_TRUE(upstream_request_head(head, {.target = *Endpoint::parse("example.com:80")})
                    .starts_with("GET / HTTP/1.1\r\n"));
}

/// Whatever a client writes, the head that leaves is one that the strict reader takes, with the framing that
/// was said.
TEST(UpstreamRequest, ReadsBackAsOneRequest) {
    const auto bytes = upstream(
        "Connection: A, b\r\nA: 1\r\nC: \xc3\xa4\r\nTransfer-Encoding: chunked\r\nCookie: x\r\nCookie: "
        "y\r\n");
    const auto back = RequestHeadReader{{}}.read(bytes);
    ASSERT_TRUE(back && *back);
    EXPECT_EQ((*back)->consumed, bytes.size());
    EXPECT_EQ((*back)->framing().kind, BodyKind::chunked);
}

TEST(ClientAnswer, KeepsALength) {
    const auto head = client_answer_head(response("Content-Length: 5\r\nServer: x\r\n"), {});
    EXPECT_EQ(head.bytes, ok("Server: x\r\nContent-Length: 5\r\n"));
    EXPECT_EQ(head.body, (BodyFraming{.kind = BodyKind::length, .length = 5}));
    EXPECT_TRUE(head.keep_alive);
}

TEST(ClientAnswer, KeepsChunksForHttp11) {
    const auto head =
        client_answer_head(response("Transfer-Encoding: chunked\r\nTrailer: X-Sum, TE\r\n"), {});
    EXPECT_EQ(head.bytes, ok("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"));
    EXPECT_EQ(head.body.kind, BodyKind::chunked);
}

TEST(ClientAnswer, UndoesChunksForHttp10) {
    const auto head = client_answer_head(response("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"),
                                         {.minor_version = 0});
    EXPECT_EQ(head.bytes, ok("Connection: close\r\n"));
    EXPECT_EQ(head.body.kind, BodyKind::until_close);
    EXPECT_FALSE(head.keep_alive);
}

TEST(ClientAnswer, ABodyUntilCloseIsChunkedSoThatTheClientStays) {
    const auto modern = client_answer_head(response("Connection: close\r\n"), {});
    EXPECT_EQ(modern.bytes, ok("Transfer-Encoding: chunked\r\n"));
    EXPECT_EQ(modern.body.kind, BodyKind::chunked);
    EXPECT_TRUE(modern.keep_alive);
    const auto old = client_answer_head(response(""), {.minor_version = 0});
    EXPECT_EQ(old.body.kind, BodyKind::until_close);
    EXPECT_FALSE(old.keep_alive);
}

TEST(ClientAnswer, HopByHopFieldsEndHere) {
    const auto head = client_answer_head(
        response("Connection: X-Named, Content-Length, Content-Type\r\nX-Named: 1\r\nKeep-Alive: "
                 "timeout=5\r\nUpgrade: h2c\r\n"
                 "Proxy-Authenticate: Basic\r\nContent-Type: a/b\r\nContent-Length: 0\r\n"),
        {});
    EXPECT_EQ(head.bytes, ok("Content-Type: a/b\r\nContent-Length: 0\r\n"));
}

TEST(ClientAnswer, AProviderCannotForgeOurs) {
    const auto head = client_answer_head(
        response("X-Nomiqon-Error: forged\r\nx-nomiqon-cost: 0\r\nX-Nomiqon-Request-Id: "
                 "forged\r\nContent-Length: 0\r\n"),
        {.extra = {{"X-Nomiqon-Request-Id", "req_1"}, {"X-Nomiqon-Reserved", "0.001000"}}});
    EXPECT_EQ(head.bytes,
              ok("X-Nomiqon-Request-Id: req_1\r\nX-Nomiqon-Reserved: 0.001000\r\nContent-Length: 0\r\n"));
}

TEST(ClientAnswer, ConnectionIsSaidWhereTheClientNeedsIt) {
    const auto answer = response("Content-Length: 0\r\n");
    EXPECT_EQ(client_answer_head(answer, {.keep_alive = false}).bytes,
              ok("Content-Length: 0\r\nConnection: close\r\n"));
    EXPECT_EQ(client_answer_head(answer, {.minor_version = 0}).bytes,
              ok("Content-Length: 0\r\nConnection: keep-alive\r\n"));
    EXPECT_EQ(client_answer_head(answer, {.minor_version = 0, .keep_alive = false}).bytes,
              ok("Content-Length: 0\r\nConnection: close\r\n"));
}

TEST(ClientAnswer, OfHeadAndNotModifiedKeepTheirLengthWithoutABody) {
    const auto of_head =
        client_answer_head(response("Content-Length: 5\r\n", "HTTP/1.1 200 OK", true), {.to_head = true});
    EXPECT_EQ(of_head.bytes, ok("Content-Length: 5\r\n"));
    EXPECT_EQ(of_head.body.kind, BodyKind::none);
    const auto not_modified =
        client_answer_head(response("Content-Length: 5\r\n", "HTTP/1.1 304 Not Modified"), {});
    EXPECT_EQ(not_modified.bytes, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    EXPECT_TRUE(not_modified.keep_alive);
    const auto chunked = client_answer_head(
        response("Transfer-Encoding: chunked\r\n", "HTTP/1.1 200 OK", true), {.to_head = true});
    EXPECT_EQ(chunked.bytes, ok(""));
}

TEST(ClientAnswer, WithoutContentSaysNothingOfFraming) {
    EXPECT_EQ(client_answer_head(response("Content-Length: 9\r\n", "HTTP/1.1 204 No Content"), {}).bytes,
              "HTTP/1.1 204 No Content\r\n\r\n");
    const auto hints =
        client_answer_head(response("Link: </a>\r\n", "HTTP/1.1 103 Early Hints"), {.keep_alive = false});
    EXPECT_EQ(hints.bytes, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

TEST(ClientAnswer, KeepsTheReasonAndSpeaksHttp11) {
    EXPECT_TRUE(client_answer_head(response("", "HTTP/1.0 404 gone fishing"), {})
                    .bytes.starts_with("HTTP/1.1 404 gone fishing\r\n"));
    EXPECT_TRUE(client_answer_head(response("", "HTTP/1.1 200 "), {}).bytes.starts_with("HTTP/1.1 200 \r\n"));
}

}  // namespace
}  // namespace nomiqon::proxy
