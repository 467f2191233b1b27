#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "proxy_world.h"

// CONNECT to any port but 80, through the real proxy, authorizer and sockets.

namespace nomiqon::test {
namespace {

/// Answers a hello with `served:` and as many bytes, then echoes.
void serve_tls_like(Peer& peer) {
    const std::string expected = client_hello("shop.example");
    if (peer.read(expected.size()) != expected) return;
    peer.send("served");
    while (true) {
        const std::string byte = peer.read(1);
        if (byte.empty()) break;
        peer.send(byte);
    }
    peer.send("bye");
}

struct TunnelTest : ::testing::Test {
    Origin origin{serve_tls_like};
    World world;
    void SetUp() override { world.route_to("shop.example:443", origin); }
    Peer open_tunnel() {
        Peer client = world.connect();
        client.send(world.connect_request("shop.example:443"));
        head = client.read_head();
        return client;
    }
    std::string head;
};

TEST_F(TunnelTest, CarriesBytesBothWaysAndPropagatesTheEnd) {
    world.start();
    Peer client = open_tunnel();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 Connection established\r\n")) << head;
    EXPECT_NE(head.find("X-Nomiqon-Request-Id: req_"), std::string::npos);
    EXPECT_NE(head.find("X-Nomiqon-Reserved: 0.001000\r\n"), std::string::npos);
    client.send(client_hello("shop.example"));
    EXPECT_EQ(client.read(6), "served");
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
    client.send("ping");
    EXPECT_EQ(client.read(4), "ping");
    EXPECT_EQ(world.gateway->stats().tunnels_open, 1U);
    client.half_close();
    EXPECT_EQ(client.read_all(), "bye");
}

TEST_F(TunnelTest, TakesAHelloThatComesByteByByte) {
    world.start();
    Peer client = open_tunnel();
    for (const char byte : client_hello("shop.example"))
        client.send({&byte, 1});
    EXPECT_EQ(client.read(6), "served");
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(TunnelTest, KeepsTheHelloThatCameRightBehindTheConnect) {
    world.start();
    Peer client = world.connect();
    client.send(world.connect_request("shop.example:443") + client_hello("shop.example"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(client.read(6), "served");
}

TEST_F(TunnelTest, CarriesMoreThanTheBuffersHold) {
    const std::string block(32UL * 1024 * 1024, 'x');
    Origin bulk([&](Peer& peer) {
        peer.read(client_hello("bulk.example").size());
        peer.send(block);
    });
    world.route_to("bulk.example:443", bulk).start();
    Peer client = world.connect();
    client.send(world.connect_request("bulk.example:443") + client_hello("bulk.example"));
    client.read_head();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // until everything in between is full
    EXPECT_TRUE(client.read(block.size()) == block);
    EXPECT_TRUE(client.at_end());
}

TEST_F(TunnelTest, BlockedHostIsRefusedAndNobodyIsCalled) {
    world.route_to("blocked.example:443", origin).start();
    Peer client = world.connect();
    client.send(world.connect_request("blocked.example:443"));
    const std::string answer = client.read_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 policy_domain_blocked\r\n")) << answer;
    EXPECT_EQ(origin.connections(), 0);
    EXPECT_EQ(world.ledger.reserved(), 0U);
    EXPECT_EQ(world.refused(RefusalCode::policy_domain_blocked), 1U);
    EXPECT_NE(world.log.str().find("policy_domain_blocked"), std::string::npos);
}

TEST_F(TunnelTest, AnotherServerNameIsCutAndReleased) {
    world.start();
    Peer client = open_tunnel();
    client.send(client_hello("other.example"));
    EXPECT_EQ(client.read_all(), "");
    EXPECT_EQ(endings(world, 1), Endings{"released sni_mismatch"});
    EXPECT_EQ(world.refused(RefusalCode::sni_mismatch), 1U);
}

TEST_F(TunnelTest, PlainTextInATunnelIsCutAndReleased) {
    world.start();
    Peer client = open_tunnel();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_EQ(client.read_all(), "");
    EXPECT_EQ(endings(world, 1), Endings{"released sni_mismatch"});
}

TEST_F(TunnelTest, RawRouteTakesAnyFirstByte) {
    Origin raw([](Peer& peer) { peer.send("220 " + peer.read(4)); });
    world.routes = {
        {.host = "mail.example", .price = RoutePrice{.per_connection = Usdc::parse("0.002")}, .raw = true}};
    world.route_to("mail.example:465", raw).start();
    Peer client = world.connect();
    client.send(world.connect_request("mail.example:465"));
    client.read_head();
    client.send("HELO");
    EXPECT_EQ(client.read_all(), "220 HELO");
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.002000"});
}

TEST_F(TunnelTest, ClientThatLeavesBeforeItsHelloPaysNothing) {
    world.start();
    open_tunnel();
    const auto ends = endings(world, 1);
    ASSERT_EQ(ends.size(), 1U);
    EXPECT_TRUE(ends[0].starts_with("released ")) << ends[0];
}

TEST_F(TunnelTest, SilentClientIsCutAndPaysNothing) {
    world.config.limits.client_hello_timeout = Duration{200};
    world.start();
    Peer client = open_tunnel();
    EXPECT_EQ(client.read_all(), "");
    const auto ends = endings(world, 1);
    ASSERT_EQ(ends.size(), 1U);
    EXPECT_TRUE(ends[0].starts_with("released ")) << ends[0];
}

TEST_F(TunnelTest, IdleTunnelIsClosed) {
    world.config.upstream.idle_timeout = Duration{300};
    world.start();
    Peer client = open_tunnel();
    client.send(client_hello("shop.example"));
    EXPECT_EQ(client.read(6), "served");
    EXPECT_TRUE(client.at_end());
}

TEST_F(TunnelTest, UpstreamThatRefusesIs502AndReleased) {
    std::uint16_t nobody = 0;
    {
        const Origin gone([](Peer&) {});
        nobody = gone.port();
    }
    world.route_to("gone.example:443", nobody).start();
    Peer client = world.connect();
    client.send(world.connect_request("gone.example:443"));
    const std::string answer = client.read_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 upstream_unreachable\r\n")) << answer;
    EXPECT_EQ(endings(world, 1), Endings{"released upstream_unreachable"});
}

TEST_F(TunnelTest, LoopbackIsBlockedUnlessItIsNamed) {
    const std::string target = "127.0.0.1:" + std::to_string(origin.port());
    world.config.upstream.allow_private.clear();
    world.policy = R"({"allowlist":[")" + target + R"("]})";
    world.start();
    Peer client = world.connect();
    client.send(world.connect_request(target));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 403 address_blocked\r\n"));
    EXPECT_EQ(endings(world, 1), Endings{"released address_blocked"});
    EXPECT_EQ(origin.connections(), 0);
}

TEST_F(TunnelTest, ReloadedRulesAreObeyed) {
    world.start();
    Config changed = world.config;
    changed.upstream.allow_private.clear();
    world.gateway->reload(changed);
    Peer client = world.connect();
    client.send(world.connect_request("shop.example:443"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 403 address_blocked\r\n"));
}

TEST_F(TunnelTest, TheGatewayItselfIsNeverCalled) {
    world.start();
    for (const char* address : {"127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0"}) {
        Config changed = world.config;
        for (const auto* network : {"0.0.0.0/0", "::/0"}) {
            changed.upstream.allow_private.push_back(IpNetwork::parse(network).value());
        }
        changed.upstream.resolve["self.example:443"] = {IpAddress::parse(address).value(),
                                                        world.gateway->address().port};
        world.gateway->reload(changed);
        Peer client = world.connect();
        client.send(world.connect_request("self.example:443"));
        const std::string answer = client.read_all();
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 address_blocked\r\n")) << address << ": " << answer;
    }
    EXPECT_NE(world.log.str().find("127.0.0.1 (the gateway itself)"), std::string::npos) << world.log.str();
}

TEST_F(TunnelTest, LocalNameIsResolvedAndItsAddressChecked) {
    world.config.upstream.allow_private.clear();
    world.start();
    Peer client = world.connect();
    client.send(world.connect_request("localhost:" + std::to_string(origin.port())));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 403 address_blocked\r\n"));
}

TEST_F(TunnelTest, NameThatDoesNotResolveIs502) {
    world.start();
    Peer client = world.connect();
    client.send(world.connect_request("nobody.invalid:443"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 50"));
    EXPECT_TRUE(endings(world, 1).at(0).starts_with("released upstream_"));
}

TEST_F(TunnelTest, MissingTokenIs407AndTheConnectionTakesTheRightOne) {
    world.start();
    Peer client = world.connect();
    client.send("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n");
    const std::string refusal = client.read_head();
    EXPECT_TRUE(refusal.starts_with("HTTP/1.1 407 spend_token_missing\r\n")) << refusal;
    EXPECT_NE(refusal.find("Proxy-Authenticate: Basic realm=\"nomiqon\"\r\n"), std::string::npos);
    client.read_until("}}");
    client.send(world.connect_request("shop.example:443") + client_hello("shop.example"));
    const std::string accepted = client.read_head();
    EXPECT_TRUE(accepted.starts_with("HTTP/1.1 200 ")) << accepted;
    EXPECT_EQ(client.read(6), "served");
}

TEST_F(TunnelTest, TakesConnectOfHttp10WithoutHost) {
    world.start();
    Peer client = world.connect();
    client.send("CONNECT shop.example:443 HTTP/1.0\r\n" + world.paid() + "\r\n" +
                client_hello("shop.example"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(client.read(6), "served");
}

TEST_F(TunnelTest, TokensAreNeverLogged) {
    world.start();
    const std::string token = world.make_token();
    Peer client = world.connect();
    client.send(
        "CONNECT blocked.example:443 HTTP/1.1\r\nHost: blocked.example:443\r\nProxy-Authorization: Bearer " +
        token + "\r\n\r\n");
    client.read_all();
    EXPECT_EQ(world.log.str().find(token.substr(0, 40)), std::string::npos);
}

TEST_F(TunnelTest, DrainWaitsForAnOpenTunnelAndThenCutsIt) {
    world.start();
    Peer client = open_tunnel();
    client.send(client_hello("shop.example"));
    EXPECT_EQ(client.read(6), "served");
    const auto begin = std::chrono::steady_clock::now();
    std::thread user([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        client.send("ping");
        EXPECT_EQ(client.read(4), "ping");
    });
    world.gateway->drain(Duration{600});
    const auto took = std::chrono::steady_clock::now() - begin;
    user.join();
    EXPECT_GE(took, Duration{600});
    EXPECT_LT(took, Duration{5000});
    EXPECT_TRUE(client.at_end());
    EXPECT_THROW(static_cast<void>(world.connect()), std::runtime_error);
}

TEST_F(TunnelTest, DrainEndsAtOnceWhereNothingIsUnderWay) {
    world.config.threads = 3;
    world.start();
    const Peer idle = world.connect();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto begin = std::chrono::steady_clock::now();
    world.gateway->drain(Duration{20'000});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, Duration{5000});
}

TEST_F(TunnelTest, AddressInUseIsToldAtOnce) {
    world.start();
    Config again = world.config;
    again.proxy_listen = world.gateway->address();
    EXPECT_THROW(proxy::Proxy(again, *world.authorizer, std::make_shared<spdlog::logger>("second")),
                 std::system_error);
}

TEST_F(TunnelTest, OneConnectionTooManyIsTurnedAway) {
    world.config.limits.connections = 1;
    world.start();
    Peer client = open_tunnel();
    Peer another = world.connect();
    EXPECT_TRUE(another.read_all().starts_with("HTTP/1.1 503 overloaded\r\n"));
    EXPECT_EQ(world.gateway->stats().connections_refused, 1U);
}

}  // namespace
}  // namespace nomiqon::test
