#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string_view>

#include "nomiqon/core/host.h"
#include "nomiqon/core/time.h"
#include "nomiqon/tls/certificate_authority.h"
#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

enum class LeafError : std::uint8_t {
    overloaded,     ///< as many requests are waiting as `queue` allows
    not_permitted,  ///< the CA's name constraints leave this host out: no client would take the leaf
    ca_not_valid,   ///< the CA has ended, or begins later
    failed,         ///< OpenSSL had no memory, or no randomness
    shutting_down,
};
[[nodiscard]] std::string_view to_string(LeafError error);  ///< a phrase for the log

/// Server contexts, one a host, each with a leaf certificate of the gateway's CA. Thread-safe.
///
/// A context is complete: TLS 1.2 and 1.3, ALPN http/1.1 (or none; a client that offers only others gets
/// no_application_protocol), a server_name that is another than the host ends in unrecognized_name, sessions
/// resume by tickets whose keys all contexts of this cache share. `SSL_new(context.get())` and accept;
/// nothing more is needed a connection. It may be used by any threads at once and outlives this cache.
///
/// All leaves have one key pair, made when the process starts and never written: who could read one key in
/// its memory could read all, and making one a host would cost more than signing the leaf.
class LeafCache {
  public:
    struct Options {
        std::size_t leaves = 4096;  ///< kept, the least recently used one goes first: `tls.leaves`
        std::size_t queue = 1024;   ///< requests waiting for the minting thread: `tls.mintQueue`
    };
    using Context = std::shared_ptr<SSL_CTX>;
    using Result = std::expected<Context, LeafError>;
    using Done = std::move_only_function<void(Result)>;

    struct Stats {
        std::uint64_t minted = 0, failed = 0, overloaded = 0, evicted = 0;
        std::size_t leaves = 0, waiting = 0;
    };

    /// Starts the minting thread. `authority` and `clock` outlive this. Throws std::runtime_error where
    /// OpenSSL can't make a key.
    LeafCache(const CertificateAuthority& authority, Options options, const Clock& clock);
    /// Every callback that waits is called with `shutting_down`.
    ~LeafCache();
    LeafCache(const LeafCache&) = delete;
    LeafCache& operator=(const LeafCache&) = delete;

    /// At once: what is there, or null. A leaf near its end is still given while its renewal is under way.
    [[nodiscard]] Context find(const HostName& host);

    /// Asks the minting thread, which calls `done` once; where the context is there already, or the queue is
    /// full, `done` runs before this returns. Requests for one host share one leaf. `done` must not throw,
    /// nor destroy this; post to your own executor from it.
    void request(const HostName& host, Done done);

    /// On the caller's thread: takes 100 µs to 1 ms. For tests and tools.
    [[nodiscard]] Result mint(const HostName& host);

    [[nodiscard]] Stats stats() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nomiqon::tls
