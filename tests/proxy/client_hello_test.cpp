#include "client_hello.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nomiqon::proxy {
namespace {

std::string big_endian(std::size_t value, int width) {
    std::string bytes;
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
        bytes += static_cast<char>(value >> shift & 0xff);
    return bytes;
}
std::string vec(int width, std::string_view content) {
    return big_endian(content.size(), width) + std::string{content};
}
std::string extension(std::size_t type, std::string_view data) {
    return big_endian(type, 2) + vec(2, data);
}
std::string host_entry(std::string_view name) {
    return big_endian(0, 1) + vec(2, name);
}
std::string sni(std::string_view name) {
    return extension(0, vec(2, host_entry(name)));
}
std::string alpn(std::string_view list) {
    return extension(16, vec(2, list));
}

/// The parts of a ClientHello, each of which a test may spoil.
struct Hello {
    std::size_t type = 1;
    std::size_t version = 0x0303;
    std::string random = std::string(32, 'r');
    std::string session = vec(1, std::string(32, 's'));
    std::string ciphers = vec(2, std::string{"\x13\x01\x13\x02", 4});
    std::string compression = vec(1, std::string(1, '\0'));
    std::string extensions = vec(2, sni("api.openai.com") + extension(43, "\x02\x03\x04"));
    std::string tail{};

    [[nodiscard]] std::string body() const {
        return big_endian(version, 2) + random + session + ciphers + compression + extensions + tail;
    }
    [[nodiscard]] std::string message() const { return big_endian(type, 1) + vec(3, body()); }
};

std::string record(std::string_view fragment, std::size_t version = 0x0301, std::size_t type = 22) {
    return big_endian(type, 1) + big_endian(version, 2) + vec(2, fragment);
}
std::string in_records_of(std::size_t size, std::string_view message) {
    std::string bytes;
    for (; !message.empty(); message.remove_prefix(std::min(size, message.size())))
        bytes += record(message.substr(0, size));
    return bytes;
}
std::string bytes_of(const Hello& hello) {
    return record(hello.message());
}
std::string with_extensions(std::string_view extensions) {
    return bytes_of({.extensions = vec(2, extensions)});
}

ClientHello accepted(std::string_view bytes, std::size_t limit = ClientHelloReader::default_limit) {
    auto hello = ClientHelloReader{limit}.read(bytes);
    if (!hello || !*hello) {
        ADD_FAILURE() << (hello ? "waits for more" : hello.error());
        return {};
    }
    return std::move(**hello);
}

void expect_refused(std::string_view name, std::string_view bytes) {
    SCOPED_TRACE(std::string{name});
    const auto hello = ClientHelloReader{}.read(bytes);
    ASSERT_FALSE(hello) << (*hello ? "accepted" : "waits for more");
    EXPECT_FALSE(hello.error().empty());
}

HostName host(std::string_view text) {
    return *HostName::parse(text);
}

TEST(ClientHello, ReadsNameAndProtocols) {
    const auto hello = accepted(with_extensions(sni("api.openai.com") + alpn("\x02h2\x08http/1.1")));
    EXPECT_EQ(hello.server_name, "api.openai.com");
    EXPECT_EQ(hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
    EXPECT_FALSE(hello.encrypted_client_hello);
}

TEST(ClientHello, MayHaveNoExtensionsAtAll) {
    EXPECT_FALSE(accepted(bytes_of({.extensions = ""})).server_name);
    EXPECT_FALSE(accepted(with_extensions("")).server_name);
}

TEST(ClientHello, IsReadInRecordsOfAnySizeAndSegmentsOfAnySize) {
    const std::string message = Hello{}.message();
    for (const std::size_t record_size : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5},
                                          std::size_t{64}, message.size() - 1, message.size()}) {
        const std::string bytes = in_records_of(record_size, message);
        EXPECT_EQ(accepted(bytes).server_name, "api.openai.com");
        ClientHelloReader reader;
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const auto hello = reader.read(std::string_view{bytes}.substr(0, size));
            ASSERT_TRUE(hello) << record_size << ", " << size << ": " << hello.error();
            ASSERT_FALSE(*hello) << record_size << ", " << size;
        }
        const auto hello = reader.read(bytes);
        ASSERT_TRUE(hello && *hello) << record_size;
        EXPECT_EQ((*hello)->server_name, "api.openai.com");
    }
}

TEST(ClientHello, EarlyDataBehindItAreLeftAlone) {
    const std::string early = record("\x01", 0x0303, 20) + record(std::string(50, 'x'), 0x0303, 23);
    EXPECT_EQ(accepted(bytes_of({}) + early).server_name, "api.openai.com");
}

TEST(ClientHello, RecordVersionsThatClientsSendAreTaken) {
    for (const std::size_t version : {0x0300, 0x0301, 0x0302, 0x0303})
        accepted(record(Hello{}.message(), version));
    for (const std::size_t version : {0x0301, 0x0302, 0x0303})
        accepted(bytes_of({.version = version}));
}

TEST(ClientHello, RecordsThatAreNoTlsHandshakeAreRefused) {
    const std::string message = Hello{}.message();
    expect_refused("HTTP", "GET / HTTP/1.1\r\n");
    expect_refused("SSH", "SSH-2.0-OpenSSH_9.2\r\n");
    expect_refused("SSLv2 hello", "\x80\x2e\x01\x03\x01");
    expect_refused("NUL", std::string_view{"\0", 1});
    expect_refused("alert", record(message, 0x0301, 21));
    expect_refused("application data", record(message, 0x0301, 23));
    expect_refused("record version 2.0", record(message, 0x0200));
    expect_refused("record version 3.4", record(message, 0x0304));
    expect_refused("record version 4.1", record(message, 0x0401));
    expect_refused("empty record", record("") + record(message));
    expect_refused("empty record in the middle",
                   record(message.substr(0, 10)) + record("") + record(message.substr(10)));
    expect_refused("another record in the middle",
                   record(message.substr(0, 10)) + record("\x01", 0x0303, 20) + record(message.substr(10)));
    expect_refused("record of 16,385 bytes", std::string{"\x16\x03\x01\x40\x01", 5});
    expect_refused("record of 65,535 bytes", std::string{"\x16\x03\x01\xff\xff", 5});
}

TEST(ClientHello, WhatIsWrongIsSaidAtTheFirstByteThatShowsIt) {
    expect_refused("type", "G");
    expect_refused("major version", std::string{"\x16\x02", 2});
    expect_refused("minor version", std::string{"\x16\x03\x05", 3});
    expect_refused("handshake type", std::string{"\x16\x03\x01\x00\x40\x02", 6});
    expect_refused("length", std::string{"\x16\x03\x01\x00\x40\x01\x01\x00\x00", 9});
}

TEST(ClientHello, OtherHandshakeMessagesAreRefused) {
    for (const std::size_t type : {0, 2, 11, 16})
        expect_refused("type " + std::to_string(type), bytes_of({.type = type}));
}

TEST(ClientHello, HandshakeBytesBehindItAreRefused) {
    const std::string message = Hello{}.message();
    expect_refused("one byte", record(message + "x"));
    expect_refused("a second hello in the same record", record(message + message));
    expect_refused("announced, not yet there", record(message + "x").substr(0, 5 + message.size()));
    expect_refused("in the last of many records",
                   record(message.substr(0, 20)) + record(message.substr(20) + "x"));
}

TEST(ClientHello, LengthsMustFit) {
    const auto shortened = [](Hello hello, std::size_t by) {
        const auto body = hello.body();
        return record(big_endian(1, 1) + vec(3, body.substr(0, body.size() - by)));
    };
    const std::size_t extensions = Hello{}.extensions.size();
    for (std::size_t by = 1; by < Hello{}.body().size(); ++by) {
        if (by == extensions) continue;  // a hello without extensions is one
        expect_refused("shorter by " + std::to_string(by), shortened({}, by));
    }
    expect_refused("empty", record(std::string{"\x01\x00\x00\x00", 4}));
    expect_refused("tail", bytes_of({.tail = "x"}));
    expect_refused("session of 33 bytes", bytes_of({.session = vec(1, std::string(33, 's'))}));
    expect_refused("odd ciphers", bytes_of({.ciphers = vec(2, "abc")}));
    expect_refused("no ciphers", bytes_of({.ciphers = vec(2, "")}));
    expect_refused("no compression", bytes_of({.compression = vec(1, "")}));
    expect_refused("extensions shorter than said",
                   bytes_of({.extensions = big_endian(100, 2) + sni("a.example")}));
    expect_refused("extensions longer than said",
                   bytes_of({.extensions = big_endian(2, 2) + sni("a.example")}));
    expect_refused("half an extension", with_extensions(sni("a.example") + "\x01"));
    expect_refused("extension longer than the rest",
                   with_extensions(big_endian(43, 2) + big_endian(9, 2) + "abc"));
    for (const std::size_t version : {0x0002, 0x0300, 0x0304, 0x0403}) {
        expect_refused("version " + std::to_string(version), bytes_of({.version = version}));
    }
}

TEST(ClientHello, ExactlyOneServerNameOrNone) {
    const std::string two = host_entry("a.example") + host_entry("b.example");
    expect_refused("two entries", with_extensions(extension(0, vec(2, two))));
    expect_refused("two equal entries",
                   with_extensions(extension(0, vec(2, host_entry("a.example") + host_entry("a.example")))));
    expect_refused("two extensions", with_extensions(sni("a.example") + sni("b.example")));
    expect_refused("two extensions apart",
                   with_extensions(sni("a.example") + extension(43, "\x02\x03\x04") + sni("a.example")));
    expect_refused("no entry", with_extensions(extension(0, vec(2, ""))));
    expect_refused("no list", with_extensions(extension(0, "")));
    expect_refused("unknown type",
                   with_extensions(extension(0, vec(2, big_endian(1, 1) + vec(2, "a.example")))));
    expect_refused(
        "unknown type beside a name",
        with_extensions(extension(0, vec(2, big_endian(1, 1) + vec(2, "x") + host_entry("a.example")))));
    expect_refused("empty name", with_extensions(sni("")));
    expect_refused("NUL inside", with_extensions(sni(std::string_view{"a.example\0.b.example", 20})));
    expect_refused("NUL behind", with_extensions(sni(std::string_view{"a.example\0", 10})));
    expect_refused("space", with_extensions(sni("a.example b")));
    expect_refused("UTF-8", with_extensions(sni("b\xc3\xbc"
                                                "cher.example")));
    expect_refused("line end", with_extensions(sni("a.example\r\n")));
    expect_refused("256 characters", with_extensions(sni(std::string(256, 'a'))));
    expect_refused("bytes behind the list",
                   with_extensions(extension(0, vec(2, host_entry("a.example")) + "x")));
    expect_refused("list longer than the extension",
                   with_extensions(extension(0, big_endian(50, 2) + host_entry("a.example"))));
    expect_refused("name longer than the list",
                   with_extensions(extension(0, vec(2, big_endian(0, 1) + big_endian(50, 2) + "a"))));
}

TEST(ClientHello, ExtensionsOfOneTypeComeOnce) {
    expect_refused("ALPN twice", with_extensions(alpn("\x02h2") + alpn("\x02h2")));
    expect_refused("unknown twice",
                   with_extensions(extension(0x5a5a, "") + sni("a.example") + extension(0x5a5a, "")));
}

TEST(ClientHello, ProtocolsAreWellFormed) {
    expect_refused("empty list", with_extensions(alpn("")));
    expect_refused("empty name", with_extensions(alpn(std::string_view{"\x00\x02h2", 4})));
    expect_refused("name longer than the list", with_extensions(alpn("\x05h2")));
    expect_refused("bytes behind the list", with_extensions(extension(16, vec(2, "\x02h2") + "x")));
}

TEST(ClientHello, TheLimitIsOnTheMessage) {
    const auto padded = [](std::size_t message_size) {
        const std::size_t bare =
            Hello{.extensions = vec(2, sni("a.example") + extension(21, ""))}.message().size();
        return Hello{.extensions =
                         vec(2, sni("a.example") + extension(21, std::string(message_size - bare, 'p')))}
            .message();
    };
    EXPECT_EQ(accepted(record(padded(1000)), 1000).server_name, "a.example");
    EXPECT_FALSE(ClientHelloReader{1000}.read(record(padded(1001))));
    EXPECT_EQ(accepted(in_records_of(16'384, padded(16'384))).server_name, "a.example");
    EXPECT_FALSE(ClientHelloReader{}.read(in_records_of(16'384, padded(16'385))));
    EXPECT_TRUE(accepted(in_records_of(16'384, padded(60'000)), 1'000'000).server_name);
    EXPECT_FALSE(ClientHelloReader{1'000'000}.read(std::string{"\x16\x03\x01\x40\x00\x01\x01\x00\x00", 9}));
}

TEST(ClientHello, AHelloOfOneByteRecordsUpToTheLimitIsReadOnce) {
    const std::string padding(12'000, 'p');
    const auto message = Hello{.extensions = vec(2, sni("a.example") + extension(21, padding))}.message();
    const std::string bytes = in_records_of(1, message);
    ClientHelloReader reader;
    std::optional<ClientHello> found;
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
        const auto hello = reader.read(std::string_view{bytes}.substr(0, size));
        ASSERT_TRUE(hello);
        if (*hello) found = **hello;
    }
    ASSERT_TRUE(found);
    EXPECT_EQ(found->server_name, "a.example");
}

// Recorded from `openssl s_client -servername api.openai.com -alpn h2,http/1.1`, OpenSSL 3.0.
TEST(ClientHello, OneOfOpenSslIsRead) {
    const std::string_view hex =
        "160301014d01000149030321b87fb3dea2609e284c31c2e858a30e9d65380c44434efbfd94c29b57ad079a2076473b05b2db"
        "508fa1554fa03fcd94812935207e11f1545f33760b47d17927c4003e130213031301c02cc030009fcca9cca8ccaac02bc02f"
        "009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010000c2000000130011"
        "00000e6170692e6f70656e61692e636f6d000b000403000102000a00160014001d0017001e00190018010001010102010301"
        "04002300000010000e000c02683208687474702f312e310016000000170000000d002a002804030503060308070808080908"
        "0a080b080408050806040105010601030303010302040205020602002b0009080304030303020301002d0002010100330026"
        "0024001d0020789d17ac805795cced95bd637b220914823eac44fa8908aaeb3305d428e57168";
    std::string bytes;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
        bytes += static_cast<char>(std::stoi(std::string{hex.substr(at, 2)}, nullptr, 16));
    }
    const auto hello = accepted(bytes);
    EXPECT_EQ(hello.server_name, "api.openai.com");
    EXPECT_EQ(hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
    EXPECT_TRUE(sni_matches(hello, host("api.openai.com")));
}

TEST(ServerName, IsTheHostOfConnect) {
    EXPECT_TRUE(sni_matches({.server_name = "api.openai.com"}, host("api.openai.com")));
    EXPECT_TRUE(sni_matches({.server_name = "API.OpenAI.com"}, host("api.openai.com")));
    EXPECT_TRUE(sni_matches({.server_name = "xn--bcher-kva.example"}, host("b\xc3\xbc"
                                                                           "cher.example")));
    EXPECT_FALSE(sni_matches({.server_name = "evil.example"}, host("api.openai.com")));
    EXPECT_FALSE(sni_matches({.server_name = "openai.com"}, host("api.openai.com")));
    EXPECT_FALSE(sni_matches({.server_name = "api.openai.com.evil.example"}, host("api.openai.com")));
    EXPECT_FALSE(sni_matches({.server_name = "api.openai.com:443"}, host("api.openai.com")));
    EXPECT_FALSE(sni_matches({.server_name = "93.184.216.34"}, host("example.com")));
}

TEST(ServerName, IsNeededForAName) {
    EXPECT_FALSE(sni_matches({}, host("api.openai.com")));
}

TEST(ServerName, OfAnAddressIsNoneOrItsText) {
    EXPECT_TRUE(sni_matches({}, host("192.0.2.1")));
    EXPECT_TRUE(sni_matches({}, host("[2001:db8::1]")));
    EXPECT_TRUE(sni_matches({.server_name = "192.0.2.1"}, host("192.0.2.1")));
    EXPECT_TRUE(sni_matches({.server_name = "2001:db8::1"}, host("[2001:db8::1]")));
    EXPECT_TRUE(sni_matches({.server_name = "[2001:db8::1]"}, host("[2001:db8::1]")));
    EXPECT_FALSE(sni_matches({.server_name = "192.0.2.2"}, host("192.0.2.1")));
    EXPECT_FALSE(sni_matches({.server_name = "192.0.2.1."}, host("192.0.2.1")));
    EXPECT_FALSE(sni_matches({.server_name = "2001:db8:0::1"}, host("[2001:db8::1]")));
    EXPECT_FALSE(sni_matches({.server_name = "api.openai.com"}, host("192.0.2.1")));
}

TEST(ServerName, HiddenByEncryptedClientHelloIsAMismatch) {
    const auto hello =
        accepted(with_extensions(sni("api.openai.com") + extension(0xfe0d, std::string(20, '\0'))));
    EXPECT_EQ(hello.server_name, "api.openai.com");
    EXPECT_TRUE(hello.encrypted_client_hello);
    const auto refusal = check_server_name(hello, host("api.openai.com"));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->code, RefusalCode::sni_mismatch);
    EXPECT_FALSE(sni_matches({.encrypted_client_hello = true}, host("192.0.2.1")));
}

TEST(ServerName, AMismatchIsToldToTheLog) {
    const auto refusal = check_server_name({.server_name = "evil.example"}, host("api.openai.com"));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->code, RefusalCode::sni_mismatch);
    EXPECT_EQ(refusal->detail, "server name is evil.example");
}

}  // namespace
}  // namespace nomiqon::proxy
