#pragma once

#include <sys/socket.h>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nomiqon/core/ids.h"
#include "nomiqon/core/ip_address.h"
#include "nomiqon/core/time.h"

namespace nomiqon::proxy {

enum class ResolveError : std::uint8_t {
    failed,      // the system's resolver has no address for the name
    timeout,     // it did not answer in time
    overloaded,  // too many names are being looked up, for this agent or altogether
};

using Addresses = std::vector<IpAddress>;
using ResolveAnswer = std::expected<Addresses, ResolveError>;

/// The address in a socket address of IPv4 or IPv6.
[[nodiscard]] std::optional<IpAddress> address_of(const sockaddr* address);

/// getaddrinfo(3), which blocks: all stream addresses of `host` in the system's order (RFC 6724).
[[nodiscard]] ResolveAnswer ask_system(const std::string& host);

/// The system's resolver on threads of its own. One for all workers; thread-safe. A name that several
/// sessions ask for at once is looked up once.
///
/// A name whose servers never answer holds its thread for as long as the system's resolver cares to wait, and
/// an agent chooses the names. So an agent may hold fewer look-ups than there are threads, each counted until
/// its thread is back, whoever still waits for it.
class Resolver {
  public:
    struct Limits {
        unsigned threads = 16;
        unsigned per_agent = 4;   ///< names of one agent waiting or under way; beyond: `overloaded`
        std::size_t names = 256;  ///< of all agents together
        Duration failure{5000};   ///< for how long a name that timed out fails at once
    };
    using Ask = std::function<ResolveAnswer(const std::string&)>;
    explicit Resolver(Limits limits, Ask ask = ask_system);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// All stream addresses of `host`, for `agent`. Resumes on the caller's executor.
    boost::asio::awaitable<ResolveAnswer> lookup(AgentId agent, std::string host, Duration timeout);

  private:
    struct State;
    std::shared_ptr<State> state_;
};

/// What one worker remembers of recent answers, so that a busy host costs one look-up a `ttl`. Not
/// thread-safe.
class DnsCache {
  public:
    DnsCache(std::size_t entries, Duration ttl) : entries_(entries), ttl_(ttl) {}

    [[nodiscard]] const Addresses* find(const std::string& host,
                                        std::chrono::steady_clock::time_point now) const;
    void put(const std::string& host, Addresses addresses, std::chrono::steady_clock::time_point now);
    void clear() { names_.clear(); }

  private:
    struct Entry {
        Addresses addresses;
        std::chrono::steady_clock::time_point expires;
    };
    std::size_t entries_;
    Duration ttl_;
    std::unordered_map<std::string, Entry> names_;
};

}  // namespace nomiqon::proxy
