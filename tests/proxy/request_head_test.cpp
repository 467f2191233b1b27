#include "request_head.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace nomiqon::proxy {
namespace {

using Result = std::expected<std::optional<RequestHead>, Refusal>;

Result read(std::string_view bytes, HeadLimits limits = {}) {
    return RequestHeadReader{limits}.read(bytes);
}

RequestHead accepted(std::string_view bytes) {
    auto head = read(bytes);
    EXPECT_TRUE(head) << bytes << "\n→ " << (head ? "" : head.error().detail);
    if (!head || !*head) {
        ADD_FAILURE() << "not complete: " << bytes;
        return {};
    }
    return std::move(**head);
}

void expect_refused(std::string_view name, std::string_view bytes,
                    RefusalCode code = RefusalCode::bad_request) {
    SCOPED_TRACE(std::string{name});
    const auto head = read(bytes);
    ASSERT_FALSE(head) << (*head ? "accepted" : "waits for more");
    EXPECT_EQ(info(head.error().code).name, info(code).name) << head.error().detail;
    EXPECT_FALSE(head.error().detail.empty());
}

/// A plain request with these field lines beside a good Host.
std::string with_fields(std::string_view lines) {
    return "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\n" + std::string{lines} + "\r\n";
}

std::string with_line(std::string_view request_line) {
    return std::string{request_line} + "\r\nHost: example.com\r\n\r\n";
}

struct Row {
    std::string_view name;
    std::string bytes;
};

void expect_all_refused(const std::vector<Row>& rows) {
    for (const auto& row : rows)
        expect_refused(row.name, row.bytes);
}

TEST(RequestHead, ReadsAPlainRequest) {
    const auto head = accepted(
        "GET http://Example.COM:8080/a/b?c=%20d HTTP/1.1\r\nHost: example.com:8080\r\nAccept:  */* "
        "\t\r\nX-Empty:\r\n\r\nrest");
    EXPECT_EQ(head.method, "GET");
    EXPECT_EQ(head.minor_version, 1);
    EXPECT_EQ(head.target.form, TargetForm::absolute);
    EXPECT_EQ(head.target.endpoint->to_string(), "example.com:8080");
    EXPECT_EQ(head.target.path_and_query, "/a/b?c=%20d");
    EXPECT_EQ(head.target.path(), "/a/b");
    const HeaderFields fields{{"Host", "example.com:8080"}, {"Accept", "*/*"}, {"X-Empty", ""}};
    EXPECT_EQ(head.headers, fields);
    EXPECT_EQ(head.framing(), BodyFraming{});
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.is_connect());
}

TEST(RequestHead, ConsumesTheHeadAndNotAByteMore) {
    const std::string bytes = "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n";
    EXPECT_EQ(accepted(bytes + "GET http://other.example/").consumed, bytes.size());
    EXPECT_EQ(accepted("\r\n" + bytes + "\r\n").consumed, bytes.size() + 2);
}

TEST(RequestHead, AnyFragmentationReadsTheSame) {
    const std::string bytes =
        "\r\nPOST http://example.com/x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\n";
    RequestHeadReader byte_by_byte{{}};
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto head = byte_by_byte.read(std::string_view{bytes}.substr(0, size));
        ASSERT_TRUE(head) << "after " << size << ": " << head.error().detail;
        ASSERT_FALSE(*head) << "complete after " << size;
    }
    const auto head = byte_by_byte.read(bytes);
    ASSERT_TRUE(head && *head);
    EXPECT_EQ((*head)->content_length, 3U);
}

TEST(RequestHead, ConnectNamesHostAndPort) {
    const auto head = accepted("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n");
    EXPECT_TRUE(head.is_connect());
    EXPECT_EQ(head.target.endpoint->to_string(), "api.openai.com:443");
    EXPECT_EQ(head.target.path_and_query, "");
    EXPECT_EQ(accepted("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n").target.endpoint->to_string(),
              "[2001:db8::1]:443");
}

TEST(RequestHead, ConnectIsTakenWithTheHostThatClientsSend) {
    EXPECT_EQ(accepted("CONNECT a.example:443 HTTP/1.0\r\n\r\n").minor_version, 0);  // Python's http.client
    accepted("CONNECT a.example:443 HTTP/1.1\r\n\r\n");
    accepted("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    accepted("CONNECT a.example:443 HTTP/1.1\r\nHost: A.Example:443\r\n\r\n");
    accepted("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    accepted("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
}

TEST(RequestHead, ConnectIsRefusedWithoutOneClearTarget) {
    expect_all_refused({
        {"no port", "CONNECT a.example HTTP/1.1\r\n\r\n"},
        {"empty port", "CONNECT a.example: HTTP/1.1\r\n\r\n"},
        {"port 0", "CONNECT a.example:0 HTTP/1.1\r\n\r\n"},
        {"port with leading zero", "CONNECT a.example:0443 HTTP/1.1\r\n\r\n"},
        {"port beyond 65535", "CONNECT a.example:65979 HTTP/1.1\r\n\r\n"},
        {"port with sign", "CONNECT a.example:+443 HTTP/1.1\r\n\r\n"},
        {"service name", "CONNECT a.example:https HTTP/1.1\r\n\r\n"},
        {"absolute form", "CONNECT https://a.example:443/ HTTP/1.1\r\n\r\n"},
        {"absolute form without path", "CONNECT http://a.example HTTP/1.1\r\n\r\n"},
        {"origin form", "CONNECT / HTTP/1.1\r\n\r\n"},
        {"asterisk", "CONNECT * HTTP/1.1\r\n\r\n"},
        {"path behind", "CONNECT a.example:443/ HTTP/1.1\r\n\r\n"},
        {"user information", "CONNECT user:secret@a.example:443 HTTP/1.1\r\n\r\n"},
        {"two targets", "CONNECT a.example:443,b.example:443 HTTP/1.1\r\n\r\n"},
        {"IPv6 without brackets", "CONNECT ::1:443 HTTP/1.1\r\n\r\n"},
        {"short IPv4", "CONNECT 127.1:443 HTTP/1.1\r\n\r\n"},
        {"decimal IPv4", "CONNECT 2130706433:443 HTTP/1.1\r\n\r\n"},
        {"octal IPv4", "CONNECT 0177.0.0.1:443 HTTP/1.1\r\n\r\n"},
        {"hexadecimal IPv4", "CONNECT 0x7f.0.0.1:443 HTTP/1.1\r\n\r\n"},
        {"percent-encoded host", "CONNECT %61.example:443 HTTP/1.1\r\n\r\n"},
        {"Host of another name", "CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n"},
        {"Host of another port", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:80\r\n\r\n"},
        {"Host of another name in HTTP/1.0", "CONNECT a.example:443 HTTP/1.0\r\nHost: b.example:443\r\n\r\n"},
        {"lower-case method", "connect a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"},
        {"content", "CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"},
        {"chunked content", "CONNECT a.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    });
}

TEST(RequestHead, AbsoluteFormGivesThePathAsRfc9112Asks) {
    const auto path = [](std::string_view line) { return accepted(with_line(line)).target.path_and_query; };
    EXPECT_EQ(path("GET http://example.com HTTP/1.1"), "/");
    EXPECT_EQ(path("GET http://example.com?q=1 HTTP/1.1"), "/?q=1");
    EXPECT_EQ(path("GET HTTP://example.com/ HTTP/1.1"), "/");
    EXPECT_EQ(path("GET http://example.com/a//b/../c/%2e%2E/;x?y=http://z/ HTTP/1.1"),
              "/a//b/../c/%2e%2E/;x?y=http://z/");
    EXPECT_EQ(path("GET http://example.com/user@host:1 HTTP/1.1"), "/user@host:1");
    EXPECT_EQ(path("OPTIONS http://example.com HTTP/1.1"), "*");
    EXPECT_EQ(path("OPTIONS http://example.com/ HTTP/1.1"), "/");
    EXPECT_EQ(path("OPTIONS http://example.com?q HTTP/1.1"), "/?q");
    EXPECT_EQ(path("GET http://example.com:80/ HTTP/1.1"), "/");
}

TEST(RequestHead, TargetsThatCanBeReadInTwoWaysAreRefused) {
    expect_all_refused({
        {"https belongs into CONNECT", with_line("GET https://example.com/ HTTP/1.1")},
        {"ftp", with_line("GET ftp://example.com/ HTTP/1.1")},
        {"scheme without slashes", with_line("GET http:example.com HTTP/1.1")},
        {"one slash", with_line("GET http:/example.com/ HTTP/1.1")},
        {"no host", with_line("GET http:///path HTTP/1.1")},
        {"port alone", with_line("GET http://:80/ HTTP/1.1")},
        {"empty port", with_line("GET http://example.com:/ HTTP/1.1")},
        {"user information", with_line("GET http://user@example.com/ HTTP/1.1")},
        {"password", with_line("GET http://user:secret@example.com/ HTTP/1.1")},
        {"host in the user information", with_line("GET http://example.com@evil.example/ HTTP/1.1")},
        {"fragment", with_line("GET http://example.com/#part HTTP/1.1")},
        {"fragment behind the host", with_line("GET http://example.com#@evil.example/ HTTP/1.1")},
        {"backslash in the authority", with_line("GET http://example.com\\evil.example/ HTTP/1.1")},
        {"percent-encoded host", with_line("GET http://%65xample.com/ HTTP/1.1")},
        {"authority form for GET", with_line("GET example.com:80 HTTP/1.1")},
        {"bare host for GET", with_line("GET example.com HTTP/1.1")},
        {"asterisk for GET", with_line("GET * HTTP/1.1")},
        {"fragment in the origin form", with_line("GET /#part HTTP/1.1")},
        {"obs-text", with_line("GET http://example.com/\xc3\xa4 HTTP/1.1")},
        {"DEL", with_line("GET http://example.com/\x7f HTTP/1.1")},
        {"NUL", with_line(std::string_view{"GET http://example.com/\0x HTTP/1.1", 34})},
        {"tab in the target", with_line("GET http://example.com/\tx HTTP/1.1")},
        {"space in the target", with_line("GET http://example.com/a b HTTP/1.1")},
        {"another spelling of an address", "GET http://127.1/ HTTP/1.1\r\nHost: 127.1\r\n\r\n"},
    });
}

TEST(RequestHead, HttpsInAbsoluteFormSaysWhatToDo) {
    const auto head = read(with_line("GET https://example.com/ HTTP/1.1"));
    ASSERT_FALSE(head);
    EXPECT_NE(head.error().detail.find("use CONNECT"), std::string::npos);
}

TEST(RequestHead, ProblemsQuoteNoSecrets) {
    for (const auto* line :
         {"GET http://user:s3cret@example.com/ HTTP/1.1", "CONNECT user:s3cret@example.com:443 HTTP/1.1",
          "GET s3cret HTTP/1.1", "GET / HTTP/s3cret"}) {
        const auto head = read(with_line(line));
        ASSERT_FALSE(head) << line;
        EXPECT_EQ(head.error().detail.find("s3cret"), std::string::npos) << head.error().detail;
    }
}

TEST(RequestHead, RequestLineIsExactlyThreePartsAndTwoSpaces) {
    expect_all_refused({
        {"two spaces before the target", with_line("GET  http://example.com/ HTTP/1.1")},
        {"two spaces before the version", with_line("GET http://example.com/  HTTP/1.1")},
        {"leading space", with_line(" GET http://example.com/ HTTP/1.1")},
        {"trailing space", with_line("GET http://example.com/ HTTP/1.1 ")},
        {"tabs", with_line("GET\thttp://example.com/\tHTTP/1.1")},
        {"no version", with_line("GET http://example.com/")},
        {"method alone", with_line("GET")},
        {"no method", with_line("http://example.com/ HTTP/1.1")},
        {"empty target", with_line("GET  HTTP/1.1")},
        {"method is no token", with_line("GE(T http://example.com/ HTTP/1.1")},
        {"method with a colon", with_line("GET: http://example.com/ HTTP/1.1")},
        {"HTTP/0.9", with_line("GET http://example.com/ HTTP/0.9")},
        {"HTTP/1.2", with_line("GET http://example.com/ HTTP/1.2")},
        {"HTTP/2.0", with_line("GET http://example.com/ HTTP/2.0")},
        {"HTTP/1.10", with_line("GET http://example.com/ HTTP/1.10")},
        {"HTTP/01.1", with_line("GET http://example.com/ HTTP/01.1")},
        {"HTTP/1", with_line("GET http://example.com/ HTTP/1")},
        {"lower-case version", with_line("GET http://example.com/ http/1.1")},
        {"another protocol", with_line("GET http://example.com/ ICAP/1.0")},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {"two empty lines before it",
         "\r\n\r\nGET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"},
    });
}

TEST(RequestHead, ExtensionMethodsAreTaken) {
    EXPECT_EQ(accepted(with_line("PROPFIND http://example.com/ HTTP/1.1")).method, "PROPFIND");
    EXPECT_EQ(accepted(with_line("get http://example.com/ HTTP/1.1")).method, "get");
}

TEST(RequestHead, BytesThatAreNoHttpAreRefusedAtOnce) {
    expect_refused("TLS", std::string_view{"\x16\x03\x01\x02\x00\x01", 6});
    expect_refused("NUL first", std::string_view{"\0", 1});
    expect_refused("SOCKS5", std::string_view{"\x05\x01\x00", 3});
    expect_refused("bare LF, with no end of the head in sight",
                   "GET http://example.com/ HTTP/1.1\nHost: example.com\n\n");
    expect_refused("LF first", "\nGET http://example.com/ HTTP/1.1\r\n");
}

TEST(RequestHead, LineEndsOtherThanCrlfAreRefused) {
    expect_all_refused({
        {"bare LF behind the request line", "GET http://example.com/ HTTP/1.1\nHost: example.com\r\n\r\n"},
        {"bare LF behind a field", with_fields("A: b\nContent-Length: 5\r\n")},
        {"bare LF as the empty line", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\n"},
        {"bare CR in a value", with_fields("A: b\rContent-Length: 5\r\n")},
        {"bare CR before the colon", with_fields("A\r: b\r\n")},
        {"CR CR LF", with_fields("A: b\r\r\n")},
        {"bare CR in the request line", with_line("GET http://example.com/\rx HTTP/1.1")},
        {"LF CR", with_fields("A: b\n\rC: d\r\n")},
    });
}

TEST(RequestHead, FoldedLinesAreRefused) {
    expect_all_refused({
        {"space", with_fields("A: b\r\n c\r\n")},
        {"tab", with_fields("A: b\r\n\tc\r\n")},
        {"fold that hides a length", with_fields("A: b\r\n Content-Length: 5\r\n")},
        {"folded Transfer-Encoding", with_fields("Transfer-Encoding:\r\n chunked\r\n")},
        {"line of one space", with_fields("A: b\r\n \r\n")},
        {"fold behind the request line", "GET http://example.com/ HTTP/1.1\r\n Host: example.com\r\n\r\n"},
    });
}

TEST(RequestHead, FieldNamesAreTokensRightBeforeTheColon) {
    expect_all_refused({
        {"space before the colon", with_fields("Content-Length : 5\r\n")},
        {"tab before the colon", with_fields("Transfer-Encoding\t: chunked\r\n")},
        {"empty name", with_fields(": value\r\n")},
        {"no colon", with_fields("Content-Length\r\n")},
        {"space inside", with_fields("Content Length: 5\r\n")},
        {"parentheses", with_fields("A(b): c\r\n")},
        {"quotes", with_fields("\"A\": c\r\n")},
        {"slash", with_fields("A/b: c\r\n")},
        {"obs-text", with_fields("\xc3\xa4: c\r\n")},
        {"NUL in the name", with_fields(std::string_view{"Host\0: evil.example\r\n", 21})},
        {"vertical tab before the name", with_fields("\x0bTransfer-Encoding: chunked\r\n")},
    });
}

TEST(RequestHead, ControlCharactersInValuesAreRefused) {
    for (int c = 1; c < 0x20; ++c) {
        if (c == '\t' || c == '\r' || c == '\n') continue;
        expect_refused("control " + std::to_string(c),
                       with_fields(std::string{"A: b"} + static_cast<char>(c) + "c\r\n"));
    }
    expect_refused("NUL", with_fields(std::string_view{"A: b\0c\r\n", 8}));
    expect_refused("DEL", with_fields("A: b\x7f\r\n"));
    EXPECT_EQ(accepted(with_fields("A: b\tc\r\n")).headers.at(1).value, "b\tc");
    EXPECT_EQ(accepted(with_fields("A: \xc3\xa4\r\n")).headers.at(1).value, "\xc3\xa4");
}

TEST(RequestHead, ContentLengthIsOneNumberOnce) {
    EXPECT_EQ(accepted(with_fields("Content-Length: 0\r\n")).framing(),
              (BodyFraming{.kind = BodyKind::length}));
    EXPECT_EQ(accepted(with_fields("content-length:  12 \r\n")).content_length, 12U);
    EXPECT_EQ(accepted(with_fields("Content-Length: 9223372036854775807\r\n")).content_length,
              9223372036854775807U);
    expect_all_refused({
        {"two that differ", with_fields("Content-Length: 5\r\nContent-Length: 6\r\n")},
        {"two that are equal", with_fields("Content-Length: 5\r\nContent-Length: 5\r\n")},
        {"two in another case", with_fields("Content-Length: 5\r\ncontent-length: 5\r\n")},
        {"two apart", with_fields("Content-Length: 5\r\nA: b\r\nContent-Length: 5\r\n")},
        {"list of equal values", with_fields("Content-Length: 5, 5\r\n")},
        {"list", with_fields("Content-Length: 5,6\r\n")},
        {"trailing comma", with_fields("Content-Length: 5,\r\n")},
        {"plus sign", with_fields("Content-Length: +5\r\n")},
        {"minus sign", with_fields("Content-Length: -5\r\n")},
        {"minus zero", with_fields("Content-Length: -0\r\n")},
        {"hexadecimal", with_fields("Content-Length: 0x5\r\n")},
        {"hexadecimal digits", with_fields("Content-Length: a\r\n")},
        {"exponent", with_fields("Content-Length: 1e1\r\n")},
        {"fraction", with_fields("Content-Length: 5.0\r\n")},
        {"space inside", with_fields("Content-Length: 5 5\r\n")},
        {"underscore", with_fields("Content-Length: 1_0\r\n")},
        {"quoted", with_fields("Content-Length: \"5\"\r\n")},
        {"empty", with_fields("Content-Length:\r\n")},
        {"beyond 64 bits", with_fields("Content-Length: 18446744073709551616\r\n")},
        {"overflow to a small number", with_fields("Content-Length: 18446744073709551621\r\n")},
        {"a word", with_fields("Content-Length: five\r\n")},
        {"fullwidth digit", with_fields("Content-Length: \xef\xbc\x95\r\n")},
    });
}

TEST(RequestHead, TransferEncodingIsChunkedAndNothingElse) {
    EXPECT_TRUE(accepted(with_fields("Transfer-Encoding: chunked\r\n")).chunked);
    EXPECT_EQ(accepted(with_fields("Transfer-Encoding: chunked\r\n")).framing().kind, BodyKind::chunked);
    EXPECT_TRUE(accepted(with_fields("transfer-encoding:Chunked\t\r\n")).chunked);
    expect_all_refused({
        {"with Content-Length", with_fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
        {"behind Content-Length", with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
        {"with Content-Length 0", with_fields("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")},
        {"gzip", with_fields("Transfer-Encoding: gzip\r\n")},
        {"identity", with_fields("Transfer-Encoding: identity\r\n")},
        {"gzip, chunked", with_fields("Transfer-Encoding: gzip, chunked\r\n")},
        {"chunked, gzip", with_fields("Transfer-Encoding: chunked, gzip\r\n")},
        {"chunked, identity", with_fields("Transfer-Encoding: chunked, identity\r\n")},
        {"chunked twice in a list", with_fields("Transfer-Encoding: chunked, chunked\r\n")},
        {"two fields", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        {"two fields that differ",
         with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
        {"empty beside chunked", with_fields("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n")},
        {"empty", with_fields("Transfer-Encoding:\r\n")},
        {"leading comma", with_fields("Transfer-Encoding: , chunked\r\n")},
        {"trailing comma", with_fields("Transfer-Encoding: chunked,\r\n")},
        {"parameter", with_fields("Transfer-Encoding: chunked;q=1\r\n")},
        {"quoted", with_fields("Transfer-Encoding: \"chunked\"\r\n")},
        {"xchunked", with_fields("Transfer-Encoding: xchunked\r\n")},
        {"chunked with a tail", with_fields("Transfer-Encoding: chunkedx\r\n")},
        {"vertical tab", with_fields("Transfer-Encoding: \x0b"
                                     "chunked\r\n")},
        {"no-break space", with_fields("Transfer-Encoding: \xa0"
                                       "chunked\r\n")},
        {"HTTP/1.0", "POST http://example.com/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
    });
}

TEST(RequestHead, HostIsThereOnceAndAgreesWithTheTarget) {
    const std::string line = "GET http://example.com/ HTTP/1.1\r\n";
    accepted(line + "Host: example.com\r\n\r\n");
    accepted(line + "Host: EXAMPLE.com\r\n\r\n");
    accepted(line + "Host: example.com:80\r\n\r\n");
    accepted("GET http://example.com:8080/ HTTP/1.1\r\nHost: example.com:8080\r\n\r\n");
    accepted("GET http://example.com/ HTTP/1.0\r\n\r\n");
    accepted("GET http://[2001:db8::1]:81/ HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n");
    expect_all_refused({
        {"missing", line + "\r\n"},
        {"missing beside other fields", line + "A: b\r\n\r\n"},
        {"missing in the origin form", "GET / HTTP/1.1\r\n\r\n"},
        {"empty", line + "Host:\r\n\r\n"},
        {"two that differ", line + "Host: example.com\r\nHost: evil.example\r\n\r\n"},
        {"two that are equal", line + "Host: example.com\r\nHost: example.com\r\n\r\n"},
        {"two in another case", line + "Host: example.com\r\nhOST: example.com\r\n\r\n"},
        {"two in HTTP/1.0",
         "GET http://example.com/ HTTP/1.0\r\nHost: example.com\r\nHost: example.com\r\n\r\n"},
        {"two on CONNECT", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n"},
        {"list", line + "Host: example.com, evil.example\r\n\r\n"},
        {"another name", line + "Host: evil.example\r\n\r\n"},
        {"another name in HTTP/1.0", "GET http://example.com/ HTTP/1.0\r\nHost: evil.example\r\n\r\n"},
        {"another port", line + "Host: example.com:8080\r\n\r\n"},
        {"no port where the target has one",
         "GET http://example.com:8080/ HTTP/1.1\r\nHost: example.com\r\n\r\n"},
        {"user information", line + "Host: user@example.com\r\n\r\n"},
        {"with a path", line + "Host: example.com/path\r\n\r\n"},
        {"with a scheme", line + "Host: http://example.com\r\n\r\n"},
        {"empty port", line + "Host: example.com:\r\n\r\n"},
        {"port that is none", line + "Host: example.com:80x\r\n\r\n"},
        {"space inside", line + "Host: example.com evil.example\r\n\r\n"},
        {"obs-text", line + "Host: \xef\xbd\x85xample.com\r\n\r\n"},
        {"IPv6 without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"},
    });
}

TEST(RequestHead, ConnectionDecidesWhetherItStaysOpen) {
    const auto stays = [](std::string_view version, std::string_view lines) {
        return accepted("GET http://example.com/ " + std::string{version} + "\r\nHost: example.com\r\n" +
                        std::string{lines} + "\r\n")
            .keep_alive;
    };
    EXPECT_TRUE(stays("HTTP/1.1", ""));
    EXPECT_FALSE(stays("HTTP/1.1", "Connection: close\r\n"));
    EXPECT_FALSE(stays("HTTP/1.1", "Connection: foo, CLOSE\r\n"));
    EXPECT_FALSE(stays("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    EXPECT_FALSE(stays("HTTP/1.1", "Proxy-Connection: close\r\n"));
    EXPECT_TRUE(stays("HTTP/1.1", "Connection: keep-alive\r\n"));
    EXPECT_FALSE(stays("HTTP/1.0", ""));
    EXPECT_TRUE(stays("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    EXPECT_TRUE(stays("HTTP/1.0", "Proxy-Connection: keep-alive\r\n"));
    EXPECT_FALSE(stays("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestHead, ExpectationsOtherThanContinueAreRefused) {
    EXPECT_TRUE(accepted(with_fields("Expect: 100-Continue\r\n")).expect_continue);
    EXPECT_FALSE(accepted(with_fields("")).expect_continue);
    EXPECT_FALSE(
        accepted("POST http://example.com/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue);
    expect_all_refused({
        {"another", with_fields("Expect: 200-ok\r\n")},
        {"list", with_fields("Expect: 100-continue, other\r\n")},
        {"twice", with_fields("Expect: 100-continue\r\nExpect: 100-continue\r\n")},
    });
}

TEST(RequestHead, UpgradesAreSeenWithOrWithoutConnection) {
    EXPECT_TRUE(accepted(with_fields("Connection: Upgrade\r\nUpgrade: websocket\r\n")).wants_upgrade);
    EXPECT_TRUE(accepted(with_fields("Upgrade: h2c\r\n")).wants_upgrade);
    EXPECT_FALSE(accepted(with_fields("")).wants_upgrade);
}

TEST(RequestHead, HeadsUpToTheLimitAreTakenAndOneByteMoreIsNot) {
    const std::string bytes = with_fields("A: " + std::string(100, 'x') + "\r\n");
    EXPECT_TRUE(read(bytes, {.bytes = bytes.size(), .count = 10}));
    const auto head = read(bytes, {.bytes = bytes.size() - 1, .count = 10});
    ASSERT_FALSE(head);
    EXPECT_EQ(head.error().code, RefusalCode::header_too_large);
}

TEST(RequestHead, AHeadWithoutEndIsRefusedAtTheLimit) {
    const HeadLimits limits{.bytes = 1000, .count = 10};
    for (const std::string& bytes : {"GET http://example.com/" + std::string(2000, 'a'),
                                     with_fields("A: " + std::string(2000, 'x')), std::string(1000, 'G')}) {
        const auto head = read(bytes, limits);
        ASSERT_FALSE(head);
        EXPECT_EQ(head.error().code, RefusalCode::header_too_large);
    }
    const auto short_of_it = read(std::string(999, 'G'), limits);
    ASSERT_TRUE(short_of_it);
    EXPECT_FALSE(*short_of_it);
}

TEST(RequestHead, FieldLinesAreCounted) {
    std::string lines;
    for (int i = 0; i < 9; ++i)
        lines += "A: b\r\n";
    EXPECT_TRUE(read(with_fields(lines), {.bytes = 10'000, .count = 10}));
    const auto head = read(with_fields(lines + "A: b\r\n"), {.bytes = 10'000, .count = 10});
    ASSERT_FALSE(head);
    EXPECT_EQ(head.error().code, RefusalCode::header_too_large);
}

TEST(RequestHead, ConnectionOptionsMustBeTokens) {
    expect_refused("no list of tokens", with_fields("Connection: close foo\r\n"));
    expect_refused("quoted", with_fields("Connection: \"close\"\r\n"));
}

TEST(RequestHead, LinesOfOneNameKeepTheirOrder) {
    const auto head = accepted(with_fields("B: 1\r\nA: x\r\nb: 2\r\n"));
    const HeaderFields fields{{"Host", "example.com"}, {"B", "1"}, {"A", "x"}, {"b", "2"}};
    EXPECT_EQ(head.headers, fields);
}

TEST(RequestHead, InsideAConnectionOnlyItsTargetIsReached) {
    const auto connected = *Endpoint::parse("example.com:80");
    const auto check = [&](std::string_view bytes) {
        return check_inner_target(accepted(bytes), connected, Scheme::http);
    };
    EXPECT_FALSE(check("GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    EXPECT_FALSE(check("GET /x HTTP/1.1\r\nHost: Example.com:80\r\n\r\n"));
    EXPECT_FALSE(check("GET /x HTTP/1.0\r\n\r\n"));
    EXPECT_FALSE(check("OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    EXPECT_FALSE(check("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"));

    EXPECT_TRUE(check("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    EXPECT_TRUE(check("GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n"));
    EXPECT_TRUE(check("GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n"));
    EXPECT_TRUE(check("OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    EXPECT_TRUE(check("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    EXPECT_TRUE(check("GET http://example.com:81/ HTTP/1.1\r\nHost: example.com:81\r\n\r\n"));
    EXPECT_TRUE(check("CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n"));
}

TEST(RequestHead, AHostWithoutPortInsideStandsForTheSchemesPort) {
    const auto head = accepted("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    EXPECT_FALSE(check_inner_target(head, *Endpoint::parse("example.com:443"), Scheme::https));
    EXPECT_TRUE(check_inner_target(head, *Endpoint::parse("example.com:8443"), Scheme::https));
}

TEST(RequestHead, AMethodHasAtMost32Characters) {
    const std::string longest(32, 'M');
    EXPECT_EQ(accepted(with_line(longest + " http://example.com/ HTTP/1.1")).method, longest);
    expect_refused("33 characters", with_line(longest + "M http://example.com/ HTTP/1.1"));
}

}  // namespace
}  // namespace nomiqon::proxy
