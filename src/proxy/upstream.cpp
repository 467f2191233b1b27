#include "upstream.h"

#include <ifaddrs.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <expected>
#include <memory>

#include "session.h"
#include "worker.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t max_attempts = 8;

struct Candidates {
    Addresses addresses;
    std::uint16_t port = 0;
};

IpAddress literal_of(const HostName& host) {
    std::string_view text = host.str();
    if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
    return IpAddress::parse(text).value();  // HostName has parsed it before
}

asio::awaitable<std::expected<Candidates, Refusal>> find_addresses(Worker& worker, const Endpoint& target,
                                                                   const AgentId& agent) {
    const std::string& host = target.host.str();
    if (const auto fixed = worker.rules->resolve.find(target.to_string());
        fixed != worker.rules->resolve.end()) {
        co_return Candidates{.addresses = {fixed->second.first}, .port = fixed->second.second};
    }
    if (target.host.is_ip_literal()) {
        co_return Candidates{.addresses = {literal_of(target.host)}, .port = target.port};
    }
    if (const Addresses* known = worker.dns.find(host, worker.now())) {
        co_return Candidates{.addresses = *known, .port = target.port};
    }
    auto answer = co_await worker.shared.resolver.lookup(agent, host, worker.shared.timeouts.resolve_timeout);
    if (!answer) {
        switch (answer.error()) {
            case ResolveError::timeout:
                co_return std::unexpected(
                    Refusal{RefusalCode::upstream_timeout, "name resolution timed out"});
            case ResolveError::overloaded:
                co_return std::unexpected(Refusal{RefusalCode::overloaded, "too many names being resolved"});
            case ResolveError::failed:
                break;
        }
        co_return std::unexpected(Refusal{RefusalCode::upstream_unreachable, "name does not resolve"});
    }
    worker.dns.put(host, *answer, worker.now());
    co_return Candidates{.addresses = std::move(*answer), .port = target.port};
}

/// Keeps those addresses that may be connected to. The error names the others.
std::optional<Refusal> keep_permitted(const Worker& worker, Candidates& candidates) {
    std::string refused;
    std::erase_if(candidates.addresses, [&](const IpAddress& address) {
        const bool own = reaches_own_listener(worker.shared.own_listeners, address, candidates.port);
        if (!own && worker.rules->guard.permits(address)) return false;
        refused += (refused.empty() ? "" : ", ") + address.to_string() + (own ? " (the gateway itself)" : "");
        return true;
    });
    if (!candidates.addresses.empty()) return std::nullopt;
    return Refusal{RefusalCode::address_blocked, "no permitted address: " + refused};
}

tcp::endpoint to_endpoint(const IpAddress& address, std::uint16_t port) {
    if (address.is_v4()) {
        asio::ip::address_v4::bytes_type bytes{};
        std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
        return {asio::ip::address_v4(bytes), port};
    }
    asio::ip::address_v6::bytes_type bytes{};
    std::ranges::copy(address.bytes(), bytes.begin());
    return {asio::ip::address_v6(bytes), port};
}

}  // namespace

asio::awaitable<std::optional<Refusal>> connect_upstream(Worker& worker, Connection& owner, Socket& socket,
                                                         const Endpoint& target, const AgentId& agent) {
    auto candidates = co_await find_addresses(worker, target, agent);
    if (!candidates) co_return candidates.error();
    if (auto blocked = keep_permitted(worker, *candidates)) co_return blocked;
    if (candidates->addresses.size() > max_attempts)
        candidates->addresses.resize(max_attempts, IpAddress::v4({}));

    // Each address gets its share of what is left, so that a dead one can't use up the time of the others.
    const auto deadline = std::chrono::steady_clock::now() + worker.shared.timeouts.connect_timeout;
    std::size_t left = candidates->addresses.size();
    boost::system::error_code error;
    bool expired = false;
    for (const IpAddress& address : candidates->addresses) {
        const auto remaining = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
        if (remaining <= Duration::zero()) break;
        owner.arm(remaining / static_cast<int>(left--));
        const auto endpoint = to_endpoint(address, candidates->port);
        socket.close(error);
        socket.open(endpoint.protocol(), error);
        if (error) break;  // out of descriptors: the next address needs one too
        socket.set_option(tcp::no_delay(true), error);
        std::tie(error) = co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
        expired = owner.expired();
        if (!error && !expired) {
            owner.disarm();
            co_return std::nullopt;
        }
    }
    owner.disarm();
    boost::system::error_code ignored;
    socket.close(ignored);
    if (expired || error == asio::error::timed_out) {
        co_return Refusal{RefusalCode::upstream_timeout, "connecting timed out"};
    }
    co_return Refusal{RefusalCode::upstream_unreachable, "connecting failed: " + error.message()};
}

namespace {

/// The client's half of TLS towards a provider.
asio::awaitable<std::optional<Refusal>> agree_on_tls(Session& session, Channel& channel,
                                                     const Endpoint& target) {
    Worker& worker = session.worker();
    if (worker.shared.tls.upstream == nullptr) co_return Refusal{RefusalCode::overloaded, "no TLS is set up"};
    auto ssl = worker.shared.tls.upstream->connection(target.host, target.port);
    if (!ssl) co_return Refusal{RefusalCode::overloaded, "no memory for TLS"};
    SSL_set_connect_state(ssl.get());
    channel.encrypt(std::move(ssl));
    session.arm(worker.shared.timeouts.connect_timeout);
    const bool agreed = co_await session.handshake(channel);
    session.disarm();
    if (agreed) co_return std::nullopt;
    const bool late = session.expired();
    const std::string why = late ? std::string() : tls::handshake_failure(channel.ssl(), target.host);
    channel.close();
    if (late) co_return Refusal{RefusalCode::upstream_timeout, "the TLS handshake timed out"};
    co_return Refusal{RefusalCode::upstream_unreachable, "TLS: " + why};
}

}  // namespace

asio::awaitable<std::optional<Refusal>> open_upstream(Session& session, Channel& channel, Scheme scheme,
                                                      const Endpoint& target, const AgentId& agent) {
    auto failure = co_await connect_upstream(session.worker(), session, channel.socket(), target, agent);
    if (failure || scheme == Scheme::http) co_return failure;
    co_return co_await agree_on_tls(session, channel, target);
}

namespace {

/// `::ffff:a.b.c.d` reaches the IPv4 host, and Linux takes the unspecified address for loopback.
IpAddress as_connected(const IpAddress& address) {
    const auto& bytes = address.bytes();
    if (address.is_v4()) {
        const bool unspecified =
            std::all_of(bytes.begin(), bytes.begin() + 4, [](auto byte) { return byte == 0; });
        return unspecified ? IpAddress::v4({127, 0, 0, 1}) : address;
    }
    static constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(mapped.begin(), mapped.end(), bytes.begin())) {
        return as_connected(IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]}));
    }
    if (std::ranges::all_of(bytes, [](auto byte) { return byte == 0; })) {
        std::array<std::uint8_t, 16> loopback{};
        loopback[15] = 1;
        return IpAddress::v6(loopback);
    }
    return address;
}

bool is_unspecified(const IpAddress& address) {
    return std::ranges::all_of(address.bytes(), [](auto byte) { return byte == 0; });
}

/// Asked for only where a listener takes every address and the port is its own, which no honest request does.
bool is_of_this_host(const IpAddress& address) {
    if (address.is_v4() && address.bytes()[0] == 127) return true;
    ifaddrs* raw = nullptr;
    if (getifaddrs(&raw) != 0) return true;  // can't be told: the safe answer
    struct Free {
        void operator()(ifaddrs* list) const { freeifaddrs(list); }
    };
    const std::unique_ptr<ifaddrs, Free> list(raw);
    for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr) continue;
        if (const auto local = address_of(entry->ifa_addr); local && *local == address) return true;
    }
    return false;
}

}  // namespace

bool reaches_own_listener(const std::vector<ListenAddress>& own, const IpAddress& address,
                          std::uint16_t port) {
    const IpAddress target = as_connected(address);
    return std::ranges::any_of(own, [&](const ListenAddress& listener) {
        if (listener.port != port) return false;
        return is_unspecified(listener.address) ? is_of_this_host(target)
                                                : as_connected(listener.address) == target;
    });
}

namespace {

std::string pool_key(Scheme scheme, const Endpoint& target) {
    return (scheme == Scheme::https ? "s " : "p ") + target.to_string();
}

}  // namespace

std::optional<Channel> UpstreamPool::take(Scheme scheme, const Endpoint& target,
                                          std::chrono::steady_clock::time_point now) {
    const auto found = targets_.find(pool_key(scheme, target));
    if (found == targets_.end()) return std::nullopt;
    auto& idle = found->second;
    std::optional<Channel> taken;
    while (!idle.empty() && !taken) {
        Idle candidate = std::move(idle.back());
        idle.pop_back();
        --size_;
        if (candidate.until > now && candidate.channel.is_quiet()) taken = std::move(candidate.channel);
    }
    if (idle.empty()) targets_.erase(found);
    return taken;
}

void UpstreamPool::put(Scheme scheme, const Endpoint& target, Channel channel,
                       std::chrono::steady_clock::time_point now) {
    if (size_ >= limits_.total) return;
    auto& idle = targets_[pool_key(scheme, target)];
    if (idle.size() >= limits_.per_target) return;
    idle.push_back(Idle{.channel = std::move(channel), .until = now + limits_.idle});
    ++size_;
}

void UpstreamPool::sweep(std::chrono::steady_clock::time_point now) {
    if (size_ == 0) return;
    for (auto target = targets_.begin(); target != targets_.end();) {
        auto& idle = target->second;
        const auto fresh = std::ranges::find_if(idle, [now](const Idle& entry) { return entry.until > now; });
        size_ -= static_cast<std::size_t>(fresh - idle.begin());
        idle.erase(idle.begin(), fresh);
        target = idle.empty() ? targets_.erase(target) : std::next(target);
    }
}

void UpstreamPool::clear() {
    targets_.clear();
    size_ = 0;
}

}  // namespace nomiqon::proxy
