#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/host.h"
#include "nomiqon/core/refusal.h"

// The first message of TLS, RFC 8446 4.1.2 and 5.1, RFC 6066 3 (server_name), RFC 7301 (ALPN):
//
//   record      = type (22) · version (2) · length (2) · fragment of 1 to 2^14 bytes
//   handshake   = type (1)  · length (3) · client_version (2) · random (32) · session_id <0..32> (1)
//                 · cipher_suites <2..> (2) · compression <1..> (1) · extensions (2)
//   extension   = type (2) · data <0..> (2)
//
// A hello may be spread over any number of records, and those over any number of TCP segments.

namespace nomiqon::proxy {

struct ClientHello {
    std::optional<std::string> server_name{};  ///< as written: visible ASCII, not empty
    std::vector<std::string> alpn{};           ///< in the client's order
    bool encrypted_client_hello = false;  ///< the outer form is there: `server_name` may not be the true one
};

/// Reads the hello without keeping or changing a byte of it: what was received is forwarded as it came.
class ClientHelloReader {
  public:
    static constexpr std::size_t default_limit = 16 * 1024;
    static constexpr std::size_t highest_limit = 64 * 1024;
    /// `limit`: of the handshake message, without the record layer (which adds at most five bytes to each
    /// byte).
    explicit ClientHelloReader(std::size_t limit = default_limit);

    /// `received`: all bytes so far, from the same beginning in every call. No value: read more. The error is
    /// a phrase for the log; the caller cuts the connection (`sni_mismatch`).
    std::expected<std::optional<ClientHello>, std::string_view> read(std::string_view received);

  private:
    std::expected<bool, std::string_view> collect(std::string_view received);

    std::size_t limit_;
    std::size_t at_ = 0;           // the first byte not yet taken
    std::size_t record_left_ = 0;  // of the record being taken
    std::string message_;          // handshake bytes so far
};

/// Whether a hello may go to the host of its CONNECT; else `sni_mismatch`. Its name must be that host,
/// compared as HostName; it may have none, or the very text, for an IP literal.
///
/// A hello with encrypted_client_hello is refused: the true name is inside, the outer one is decoration, and
/// any host of the same CDN could be reached behind an allowed name. GREASE can't be told from the real thing
/// (that is its purpose, draft-ietf-tls-esni 6.2); browsers send it, programs' TLS libraries don't, and a
/// route can be marked `raw`.
[[nodiscard]] std::optional<Refusal> check_server_name(const ClientHello& hello,
                                                       const HostName& connect_host);
[[nodiscard]] bool sni_matches(const ClientHello& hello, const HostName& connect_host);

}  // namespace nomiqon::proxy
