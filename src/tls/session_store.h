#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

/// Sessions with providers, by `host:port`, the least recently used of these goes first. Thread-safe.
///
/// A session of TLS 1.3 is given once (RFC 8446, appendix C.4: who resumes it twice can be recognised), one
/// of TLS 1.2 as often as it is asked for. None is given when it is older than an hour or when the
/// certificate that it was verified with has ended, since a resumed session is not verified again.
class SessionStore {
  public:
    explicit SessionStore(std::size_t peers) : peers_(peers) {}
    void put(const std::string& peer, SessionPtr session);
    [[nodiscard]] SessionPtr take(const std::string& peer);  ///< null: none

    static constexpr std::size_t sessions_a_peer = 4;

  private:
    struct Peer {
        std::string name;
        std::vector<SessionPtr> sessions;  // the newest last
    };
    using Peers = std::list<Peer>;  // the most recently used one first

    const std::size_t peers_;
    std::mutex mutex_;
    Peers order_;
    std::unordered_map<std::string, Peers::iterator> index_;
};

}  // namespace nomiqon::tls
