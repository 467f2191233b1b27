#pragma once

#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fake_ledger.h"
#include "nomiqon/core/config.h"
#include "nomiqon/metering/routes.h"
#include "nomiqon/proxy/proxy.h"
#include "nomiqon/service/spend_authorizer.h"
#include "nomiqon/token/spend_token.h"
#include "sockets.h"

namespace nomiqon::test {

/// A gateway in this process: the real proxy and authorizer, a ledger in memory, one agent with a policy that
/// blocks `blocked.example`. Change what is public, then `start`.
class World {
  public:
    World() {
        config.proxy_listen.port = 0;
        config.admin_listen.port = 0;
        config.threads = 1;
        config.upstream.allow_private = {IpNetwork::parse("127.0.0.0/8").value()};
    }
    /// `host:port` is this origin.
    World& route_to(const std::string& target, const Origin& origin) {
        return route_to(target, origin.port());
    }
    World& route_to(const std::string& target, std::uint16_t port) {
        config.upstream.resolve.insert_or_assign(target, std::pair{IpAddress::v4({127, 0, 0, 1}), port});
        return *this;
    }
    World& start() {
        ledger.add_agent(key.caid(), {.agent = agent, .policy_version = 1, .policy_document = policy});
        authorizer = std::make_unique<service::SpendAuthorizer>(
            ledger, clock, std::make_shared<const metering::RouteTable>(routes),
            service::SpendAuthorizer::Options{});
        auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log);
        gateway = std::make_unique<proxy::Proxy>(config, *authorizer,
                                                 std::make_shared<spdlog::logger>("test", sink));
        gateway->start();
        return *this;
    }
    [[nodiscard]] Peer connect() const { return Peer::connect(gateway->address().port); }
    [[nodiscard]] std::string make_token(token::TokenUse use = token::TokenUse::once,
                                         std::int64_t seconds = 120) const {
        token::MintClaims claims;
        claims.iat = unix_seconds(clock.now());
        claims.exp = claims.iat + seconds;
        claims.use = use;
        if (use == token::TokenUse::session) claims.max = Usdc::parse("1");
        return key.mint(claims);
    }
    /// The line that carries a fresh token.
    [[nodiscard]] std::string paid() const { return "Proxy-Authorization: Bearer " + make_token() + "\r\n"; }
    [[nodiscard]] std::string connect_request(const std::string& target) const {
        return "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n" + paid() + "\r\n";
    }
    [[nodiscard]] std::string get(const std::string& url, const std::string& more = {}) const {
        return "GET " + url + " HTTP/1.1\r\nHost: " + host_of(url) + "\r\n" + paid() + more + "\r\n";
    }
    static std::string host_of(const std::string& url) {
        const auto start = url.find("//") + 2;
        return url.substr(start, url.find('/', start) - start);
    }
    [[nodiscard]] std::uint64_t refused(RefusalCode code) const {
        return gateway->stats().refusals.at(static_cast<std::size_t>(code));
    }

    Config config;
    std::vector<Route> routes;
    std::string policy = R"({"blocklist":["blocked.example","blocked.example:80"]})";
    SystemClock clock;
    FakeLedger ledger;
    std::ostringstream log;
    AgentId agent = AgentId::generate();
    token::SigningKey key = token::SigningKey::generate();
    std::unique_ptr<service::SpendAuthorizer> authorizer;
    std::unique_ptr<proxy::Proxy> gateway;
};

/// `settled 0.001000`, `settled 0.001000 unknown`, `released sni_mismatch`: how a reservation ended.
inline std::string describe(const ledger::EndCommand& end) {
    if (end.ending == ledger::Ending::released) return "released " + end.reason;
    return "settled " + end.amount.to_string() + (end.unknown ? " unknown" : "");
}
inline std::vector<std::string> endings(World& world, std::size_t count) {
    std::vector<std::string> all;
    for (const auto& end : world.ledger.wait_for_ends(count))
        all.push_back(describe(end));
    return all;
}
using Endings = std::vector<std::string>;

/// The smallest TLS ClientHello with a server name, in one record.
inline std::string client_hello(std::string_view name) {
    const auto u16 = [](std::size_t n) {
        return std::string{static_cast<char>(n >> 8), static_cast<char>(n & 0xff)};
    };
    const std::string entry = std::string(1, '\0') + u16(name.size()) + std::string(name);
    const std::string list = u16(entry.size()) + entry;
    const std::string extensions = u16(0) + u16(list.size()) + list;
    const std::string body = "\x03\x03" + std::string(32, 'r') + std::string(1, '\0') + u16(2) + "\x13\x01" +
                             std::string("\x01\x00", 2) + u16(extensions.size()) + extensions;
    const std::string handshake = std::string("\x01\x00", 2) + u16(body.size()) + body;
    return "\x16\x03\x01" + u16(handshake.size()) + handshake;
}

}  // namespace nomiqon::test
