#include "client_hello.h"

#include <algorithm>
#include <cstdint>

namespace nomiqon::proxy {
namespace {

constexpr std::size_t record_header = 5;
constexpr std::size_t handshake_header = 4;
constexpr std::size_t max_record = 16'384;
constexpr std::uint8_t handshake_record = 22;
constexpr std::uint8_t client_hello_type = 1;

constexpr std::uint16_t server_name_extension = 0;
constexpr std::uint16_t alpn_extension = 16;
constexpr std::uint16_t encrypted_client_hello_extension = 0xfe0d;

std::size_t number(std::string_view bytes) {
    std::size_t value = 0;
    for (const char byte : bytes)
        value = value << 8 | static_cast<std::uint8_t>(byte);
    return value;
}

/// Takes pieces from the front of some bytes; what isn't there is `nullopt`.
class Cursor {
  public:
    explicit Cursor(std::string_view bytes) : rest_(bytes) {}
    [[nodiscard]] bool empty() const { return rest_.empty(); }

    std::optional<std::string_view> bytes(std::size_t count) {
        if (rest_.size() < count) return std::nullopt;
        const auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    std::optional<std::size_t> integer(std::size_t width) {
        const auto taken = bytes(width);
        return taken ? std::optional{number(*taken)} : std::nullopt;
    }
    /// A vector of TLS's presentation language: a length of `width` bytes, then as many bytes.
    std::optional<std::string_view> vector(std::size_t width) {
        const auto length = integer(width);
        return length ? bytes(*length) : std::nullopt;
    }

  private:
    std::string_view rest_;
};

/// One entry of type host_name and nothing else: more would let two readers pick different names.
std::expected<std::string, std::string_view> parse_server_name(std::string_view data) {
    Cursor extension{data};
    const auto list = extension.vector(2);
    if (!list || !extension.empty()) return std::unexpected("server_name is malformed");
    Cursor entries{*list};
    const auto type = entries.integer(1);
    const auto name = entries.vector(2);
    if (!type || !name || !entries.empty()) return std::unexpected("server_name is not exactly one entry");
    if (*type != 0) return std::unexpected("server_name of an unknown type");
    // RFC 6066 3: ASCII, A-labels for the rest. A NUL would end the name for some readers.
    const bool visible = std::ranges::all_of(*name, [](char c) { return c > 0x20 && c < 0x7f; });
    if (name->empty() || name->size() > 255 || !visible)
        return std::unexpected("server_name is no host name");
    return std::string{*name};
}

std::expected<std::vector<std::string>, std::string_view> parse_alpn(std::string_view data) {
    Cursor extension{data};
    const auto list = extension.vector(2);
    if (!list || list->empty() || !extension.empty()) return std::unexpected("ALPN is malformed");
    std::vector<std::string> protocols;
    for (Cursor entries{*list}; !entries.empty();) {
        const auto protocol = entries.vector(1);
        if (!protocol || protocol->empty()) return std::unexpected("ALPN is malformed");
        protocols.emplace_back(*protocol);
    }
    return protocols;
}

std::optional<std::string_view> read_extension(ClientHello& hello, std::size_t type, std::string_view data) {
    if (type == server_name_extension) {
        auto name = parse_server_name(data);
        if (!name) return name.error();
        hello.server_name = std::move(*name);
    } else if (type == alpn_extension) {
        auto protocols = parse_alpn(data);
        if (!protocols) return protocols.error();
        hello.alpn = std::move(*protocols);
    } else if (type == encrypted_client_hello_extension) {
        hello.encrypted_client_hello = true;
    }
    return std::nullopt;
}

std::expected<ClientHello, std::string_view> parse_extensions(std::string_view data) {
    ClientHello hello;
    std::vector<std::size_t> types;
    for (Cursor extensions{data}; !extensions.empty();) {
        const auto type = extensions.integer(2);
        const auto extension = extensions.vector(2);
        if (!type || !extension) return std::unexpected("extensions are malformed");
        types.push_back(*type);
        if (const auto problem = read_extension(hello, *type, *extension)) return std::unexpected(*problem);
    }
    // Sorted once: at four bytes an extension a hello could hold thousands.
    std::ranges::sort(types);
    if (std::ranges::adjacent_find(types) != types.end()) return std::unexpected("an extension comes twice");
    return hello;
}

std::expected<ClientHello, std::string_view> parse_message(std::string_view body) {
    Cursor cursor{body};
    const auto version = cursor.integer(2);
    if (!version || *version < 0x0301 || *version > 0x0303) return std::unexpected("unknown version of TLS");
    const auto random = cursor.bytes(32);
    const auto session = cursor.vector(1);
    const auto ciphers = cursor.vector(2);
    const auto compression = cursor.vector(1);
    if (!random || !session || !ciphers || !compression) return std::unexpected("hello ends too early");
    if (session->size() > 32 || ciphers->empty() || ciphers->size() % 2 != 0 || compression->empty()) {
        return std::unexpected("hello is malformed");
    }
    if (cursor.empty()) return ClientHello{};  // TLS 1.2 without extensions
    const auto extensions = cursor.vector(2);
    if (!extensions || !cursor.empty()) return std::unexpected("extensions don't fill the hello");
    return parse_extensions(*extensions);
}

}  // namespace

ClientHelloReader::ClientHelloReader(std::size_t limit) : limit_(std::min(limit, highest_limit)) {}

std::expected<std::optional<ClientHello>, std::string_view> ClientHelloReader::read(
    std::string_view received) {
    const auto whole = collect(received);
    if (!whole) return std::unexpected(whole.error());
    if (!*whole) return std::nullopt;
    auto hello = parse_message(std::string_view{message_}.substr(handshake_header));
    if (!hello) return std::unexpected(hello.error());
    return std::move(*hello);
}

/// Takes fragments until the message is whole. Every field is judged as soon as its byte is there, so that
/// what is no TLS is cut at once and not at a timeout.
std::expected<bool, std::string_view> ClientHelloReader::collect(std::string_view received) {
    while (at_ < received.size()) {
        if (record_left_ == 0) {
            const auto header = received.substr(at_, record_header);
            if (static_cast<std::uint8_t>(header[0]) != handshake_record)
                return std::unexpected("no TLS handshake");
            if (header.size() > 1 && header[1] != 3) return std::unexpected("unknown version of TLS");
            if (header.size() > 2 && static_cast<std::uint8_t>(header[2]) > 3) {
                return std::unexpected("unknown version of TLS");
            }
            if (header.size() < record_header) return false;
            record_left_ = number(header.substr(3));
            if (record_left_ == 0 || record_left_ > max_record)
                return std::unexpected("length of a TLS record");
            at_ += record_header;
            continue;
        }
        const auto piece = received.substr(at_, record_left_);
        message_ += piece;
        at_ += piece.size();
        record_left_ -= piece.size();
        if (static_cast<std::uint8_t>(message_[0]) != client_hello_type)
            return std::unexpected("no ClientHello");
        if (message_.size() < handshake_header) continue;
        const auto length = handshake_header + number(std::string_view{message_}.substr(1, 3));
        if (length > limit_) return std::unexpected("ClientHello is longer than the limit");
        // Nothing may follow it before the server has answered (RFC 8446 5.1); early data are records of
        // another type.
        if (message_.size() > length) return std::unexpected("handshake bytes behind the ClientHello");
        if (message_.size() == length) {
            if (record_left_ > 0) return std::unexpected("handshake bytes behind the ClientHello");
            return true;
        }
    }
    return false;
}

std::optional<Refusal> check_server_name(const ClientHello& hello, const HostName& connect_host) {
    const auto mismatch = [](std::string detail) {
        return Refusal{.code = RefusalCode::sni_mismatch, .detail = std::move(detail)};
    };
    if (hello.encrypted_client_hello) return mismatch("encrypted_client_hello hides the server's name");
    if (!hello.server_name) {
        if (connect_host.is_ip_literal()) return std::nullopt;
        return mismatch("no server name");
    }
    if (connect_host.is_ip_literal()) {
        // RFC 6066 3 forbids literals here; clients that send one anyway write IPv6 without brackets.
        const std::string_view text = connect_host.str();
        const auto bare = text.starts_with('[') ? text.substr(1, text.size() - 2) : text;
        if (*hello.server_name == text || *hello.server_name == bare) return std::nullopt;
        return mismatch("another server name than the address of CONNECT");
    }
    const auto name = HostName::parse(*hello.server_name);
    if (!name) return mismatch("server name is no host name");
    if (*name != connect_host) return mismatch("server name is " + name->str());
    return std::nullopt;
}

bool sni_matches(const ClientHello& hello, const HostName& connect_host) {
    return !check_server_name(hello, connect_host);
}

}  // namespace nomiqon::proxy
