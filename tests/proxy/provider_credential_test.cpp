#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "forwarded_head.h"
#include "query_credential.h"

namespace nomiqon::proxy {
namespace {

RequestHead request(std::string_view target, std::string_view lines) {
    const std::string bytes =
        "POST " + std::string{target} + " HTTP/1.1\r\nHost: example.com\r\n" + std::string{lines} + "\r\n";
    auto head = RequestHeadReader{{}}.read(bytes);
    if (!head || !*head) {
        ADD_FAILURE() << bytes;
        return {};
    }
    return std::move(**head);
}

std::string upstream(const RequestHead& head, const RouteCredential& credential) {
    return upstream_request_head(head, {.target = *Endpoint::parse("example.com:443"),
                                        .scheme = Scheme::https,
                                        .body = head.framing(),
                                        .credential = &credential,
                                        .agent = "ag_1"});
}

RouteCredential in_header() {
    return {.header = "Authorization", .query = {}, .value = Secret("Bearer provider-key")};
}
RouteCredential in_query() {
    return {.header = {}, .query = "key", .value = Secret("provider key&1")};
}

TEST(ProviderCredential, ReplacesTheAgentsWhereverItStands) {
    const auto credential = in_header();
    const auto head =
        request("/v1?a=1&api_key=agents&KEY=agents&b=2",
                "authorization: Bearer agents\r\nx-api-key: agents\r\nCookie: agents\r\nX-Other: 1\r\n");
    EXPECT_EQ(upstream(head, credential),
              "POST /v1?a=1&b=2 HTTP/1.1\r\nHost: example.com\r\nX-Other: 1\r\nAuthorization: Bearer "
              "provider-key\r\n\r\n");
}

TEST(ProviderCredential, TravelsInTheQueryOnceHoweverTheAgentSpeltItsOwn) {
    const auto credential = in_query();
    EXPECT_EQ(target_with_credential("/m:gen?key=agents&alt=sse", credential, "ag_1"),
              "/m:gen?alt=sse&key=provider%20key%261");
    EXPECT_EQ(target_with_credential("/m?%6Bey=agents", credential, "ag_1"), "/m?key=provider%20key%261");
    EXPECT_EQ(target_with_credential("/m?key=a&key=b&k%65y=c", credential, "ag_1"),
              "/m?key=provider%20key%261");
    EXPECT_EQ(target_with_credential("/m", credential, "ag_1"), "/m?key=provider%20key%261");
    EXPECT_EQ(target_with_credential("/m?", credential, "ag_1"), "/m?key=provider%20key%261");
    EXPECT_EQ(target_with_credential("/m?x=%6", credential, "ag_1"), "/m?x=%6&key=provider%20key%261");
}

TEST(ProviderCredential, WithoutOneTheRequestPassesAsItIs) {
    const auto head = request("/v1?key=mine", "Authorization: Bearer mine\r\n");
    EXPECT_EQ(
        upstream_request_head(head, {.target = *Endpoint::parse("example.com:443"), .scheme = Scheme::https}),
        "POST /v1?key=mine HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer mine\r\n\r\n");
}

TEST(AnswerCodings, AreNarrowedToWhatAMeterCanRead) {
    const auto head =
        request("/", "Accept-Encoding: gzip;q=0.5, zstd, compress, *\r\nAccept-Encoding: br\r\n");
    const auto with = [&](AnswerCodings codings) {
        const std::string bytes = upstream_request_head(
            head,
            {.target = *Endpoint::parse("example.com:443"), .scheme = Scheme::https, .codings = codings});
        const auto at = bytes.find("Accept-Encoding");
        return bytes.substr(at, bytes.size() - 4 - at);
    };
    EXPECT_EQ(with(AnswerCodings::any),
              "Accept-Encoding: gzip;q=0.5, zstd, compress, *\r\nAccept-Encoding: br");
    EXPECT_EQ(with(AnswerCodings::readable), "Accept-Encoding: gzip;q=0.5, zstd, br");
    EXPECT_EQ(with(AnswerCodings::identity), "Accept-Encoding: identity");
}

TEST(AnswerCodings, SilenceIsNoLeaveToCompress) {
    const auto head = request("/", "");
    EXPECT_EQ(upstream_request_head(head, {.target = *Endpoint::parse("example.com:443"),
                                           .scheme = Scheme::https,
                                           .codings = AnswerCodings::readable}),
              "POST / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: identity\r\n\r\n");
}

TEST(UpgradeRequest, GoesOutOnlyWhereItMay) {
    const auto head =
        request("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    const UpstreamLeg leg{.target = *Endpoint::parse("example.com:443"), .scheme = Scheme::https};
    EXPECT_EQ(upstream_request_head(head, leg),
              "POST /ws HTTP/1.1\r\nHost: example.com\r\nSec-WebSocket-Version: 13\r\n\r\n");
    auto may = leg;
    may.upgrade = "websocket";
    EXPECT_EQ(upstream_request_head(head, may),
              "POST /ws HTTP/1.1\r\nHost: example.com\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n"
              "Upgrade: websocket\r\n\r\n");
}

}  // namespace
}  // namespace nomiqon::proxy
