#pragma once

#include <sys/socket.h>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nomiqon/core/ip_address.h"
#include "nomiqon/core/time.h"

namespace nomiqon::proxy {

enum class ResolveError : std::uint8_t {
    failed,      // the system's resolver has no address for the name
    timeout,     // it did not answer in time
    overloaded,  // too many names are being looked up
};

using Addresses = std::vector<IpAddress>;

/// The address in a socket address of IPv4 or IPv6.
[[nodiscard]] std::optional<IpAddress> address_of(const sockaddr* address);

/// The system's resolver on threads of its own, because getaddrinfo(3) blocks. One for all workers;
/// thread-safe. A name that several sessions ask for at once is looked up once.
class Resolver {
  public:
    struct Limits {
        unsigned threads = 2;
        std::size_t names = 256;  ///< names waiting or under way; beyond: `overloaded`
    };
    explicit Resolver(Limits limits);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// All stream addresses of `host`, in the system's order of preference (RFC 6724). Resumes on the
    /// caller's executor.
    boost::asio::awaitable<std::expected<Addresses, ResolveError>> lookup(std::string host, Duration timeout);

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
