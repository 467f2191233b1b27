#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "nomiqon/core/host.h"
#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

class SessionStore;

/// TLS to providers: TLS 1.2 and 1.3, the certificate verified against the system's roots and
/// `upstream.caFile`, its name against the host, ALPN http/1.1, sessions resumed. Thread-safe.
class UpstreamTls {
  public:
    struct Options {
        std::filesystem::path ca_file{};  ///< trusted besides the system's roots; empty: none
        std::size_t sessions = 1024;      ///< hosts and ports whose sessions are kept: `tls.upstreamSessions`
    };

    /// The error says which file can't be used and why.
    [[nodiscard]] static std::expected<std::unique_ptr<UpstreamTls>, std::string> make(
        const Options& options);

    /// A connection that is set up to connect: give it a BIO or a descriptor, and SSL_connect. It may outlive
    /// this, and a reload. Null where OpenSSL has no memory.
    [[nodiscard]] SslPtr connection(const HostName& host, std::uint16_t port);

    /// Reads the roots anew. Connections that are open stay; sessions made under the old roots are not
    /// resumed, since a resumed one is not verified again. An error changes nothing.
    [[nodiscard]] std::expected<void, std::string> reload(const Options& options);

  private:
    struct State;
    explicit UpstreamTls(std::shared_ptr<const State> state);
    mutable std::mutex mutex_;
    std::shared_ptr<const State> state_;
};

/// Why SSL_connect failed, as a phrase for the log and the refusal: "its certificate expired on 2026-05-24".
/// Call it on the thread of the failure, before another OpenSSL call; it empties that thread's error queue.
/// Holds nothing that the peer sent. `host` is what was asked for.
[[nodiscard]] std::string handshake_failure(const SSL* connection, const HostName& host);
/// Whether it was the certificate: a retry can't mend that.
[[nodiscard]] bool is_certificate_failure(const SSL* connection);

}  // namespace nomiqon::tls
