#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "channel.h"
#include "nomiqon/core/config.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/ip_address.h"
#include "nomiqon/core/refusal.h"

namespace nomiqon::proxy {

class Worker;
class Connection;
class Session;

/// The part of `upstream.*` that a reload replaces, as one immutable value.
struct UpstreamRules {
    AddressGuard guard;
    std::map<std::string, std::pair<IpAddress, std::uint16_t>> resolve;
};

/// Resolves `target`, drops every address that may not be connected to, and connects `socket` to one that was
/// checked: nothing is looked up again in between. Resumes on the worker; uses the owner's deadline, and
/// leaves it disarmed. A look-up is on `agent`'s account.
///
/// Refusals: `address_blocked`, `upstream_unreachable`, `upstream_timeout`, `overloaded` (too many look-ups).
boost::asio::awaitable<std::optional<Refusal>> connect_upstream(Worker& worker, Connection& owner,
                                                                Socket& socket, const Endpoint& target,
                                                                const AgentId& agent);

/// Connects like `connect_upstream`, and for https also agrees on TLS: the provider's certificate must be
/// good for `target`'s host. Nothing of the request has been sent when it refuses.
boost::asio::awaitable<std::optional<Refusal>> open_upstream(Session& session, Channel& channel,
                                                             Scheme scheme, const Endpoint& target,
                                                             const AgentId& agent);

/// Whether `address:port` reaches one of the gateway's own listeners.
[[nodiscard]] bool reaches_own_listener(const std::vector<ListenAddress>& own, const IpAddress& address,
                                        std::uint16_t port);

/// Connections to upstreams that can carry another request, of one worker. The address of each, and its
/// certificate, were checked when it was made; a reload that could change the check's answer empties the
/// pool. Not thread-safe.
class UpstreamPool {
  public:
    struct Limits {
        std::size_t total = 1024;
        std::size_t per_target = 64;
        /// Shorter than what servers usually keep (5 s and more): a request that meets a closing connection
        /// can't be sent again, because nobody knows whether the provider saw and billed it.
        Duration idle{4000};
    };
    explicit UpstreamPool(Limits limits) : limits_(limits) {}

    /// One that is still open, with nothing unread on it.
    std::optional<Channel> take(Scheme scheme, const Endpoint& target,
                                std::chrono::steady_clock::time_point now);
    void put(Scheme scheme, const Endpoint& target, Channel channel,
             std::chrono::steady_clock::time_point now);
    void sweep(std::chrono::steady_clock::time_point now);
    void clear();
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    struct Idle {
        Channel channel;
        std::chrono::steady_clock::time_point until;
    };
    Limits limits_;
    std::size_t size_ = 0;
    std::unordered_map<std::string, std::vector<Idle>> targets_;  // the longest idle first
};

}  // namespace nomiqon::proxy
