#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "proxy_world.h"

// Clients that mean harm, or leave: connections that do nothing, requests that nobody waits for, claims that
// don't hold.

namespace nomiqon::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Answers every request's head through `answer`, until that says no.
struct HostileTest : ::testing::Test {
    std::atomic<int> requests = 0;
    std::function<bool(Peer&, const std::string&)> answer = [](Peer& peer, const std::string&) {
        return peer.send(hello);
    };
    Origin origin{[this](Peer& peer) {
        while (true) {
            const std::string head = peer.read_head();
            if (!head.ends_with("\r\n\r\n")) return;
            ++requests;
            if (!answer(peer, head)) return;
        }
    }};
    World world;
    void SetUp() override { world.route_to("shop.example:80", origin); }

    void wait_for_requests(int count) {
        for (int i = 0; i < 5000 && requests < count; ++i)
            std::this_thread::sleep_for(milliseconds(1));
        ASSERT_GE(requests, count);
    }
    Peer connected_idle() {
        const auto before = world.gateway->stats().connections_accepted;
        Peer client = world.connect();
        while (world.gateway->stats().connections_accepted == before)
            std::this_thread::sleep_for(milliseconds(1));
        return client;
    }
    /// Inside CONNECT shop.example:80 with these fields.
    Peer inside(const std::string& fields) {
        Peer client = world.connect();
        client.send("CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\n" + fields + "\r\n");
        EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
        return client;
    }
    static std::string inner(const std::string& fields) {
        return "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n" + fields + "\r\n";
    }
    std::string own_token() { return "X-Nomiqon-Spend-Token: " + world.make_token() + "\r\n"; }
    static std::string claim(const std::string& agent) { return "X-Nomiqon-Agent-Id: " + agent + "\r\n"; }
};

TEST_F(HostileTest, TheLongestIdleConnectionGivesWayToANewOne) {
    world.config.limits.connections = 3;
    world.start();
    Peer first = connected_idle();
    Peer second = connected_idle();
    second.send("GET http://shop");  // half a head is no request
    Peer third = connected_idle();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/", "Connection: close\r\n"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(first.at_end());
    EXPECT_EQ(world.gateway->stats().connections_refused, 0U);
    third.send(world.get("http://shop.example/"));
    EXPECT_TRUE(third.read_head().starts_with("HTTP/1.1 200 "));
}

TEST_F(HostileTest, AFloodOfIdleConnectionsEndsItselfNotThePayingOnes) {
    world.config.limits.connections = 4;
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(client.read(5), "hello");
    std::vector<Peer> flood;
    for (int i = 0; i < 50; ++i)
        flood.push_back(connected_idle());
    client.send(world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 ")) << "it has paid before, and goes last";
    EXPECT_LE(world.gateway->stats().connections_open, 5U);
}

TEST_F(HostileTest, RefusedClientsThatStayGiveWayToo) {
    world.config.limits.connections = 3;
    world.start();
    std::vector<Peer> refused;
    for (int i = 0; i < 6; ++i) {
        refused.push_back(world.connect());
        refused.back().send("nonsense\r\n\r\n");
        EXPECT_TRUE(refused.back().read_head().starts_with("HTTP/1.1 400 ")) << i;
    }
    EXPECT_EQ(world.gateway->stats().connections_refused, 0U);
}

TEST_F(HostileTest, WhereNoneIsIdleANewConnectionIs503) {
    std::atomic<bool> released = false;
    answer = [&](Peer& peer, const std::string&) {
        while (!released)
            std::this_thread::sleep_for(milliseconds(1));
        return peer.send(hello);
    };
    world.config.limits.connections = 1;
    world.start();
    Peer busy = world.connect();
    busy.send(world.get("http://shop.example/"));
    wait_for_requests(1);
    EXPECT_TRUE(world.connect().read_all().starts_with("HTTP/1.1 503 overloaded\r\n"));
    released = true;
    EXPECT_TRUE(busy.read_head().starts_with("HTTP/1.1 200 "));
}

TEST_F(HostileTest, AFirstByteIsAwaitedNoLongerThanAHead) {
    world.config.limits.header_timeout = Duration{200};
    world.start();
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_TRUE(world.connect().at_end());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    client.read(5);
    std::this_thread::sleep_for(milliseconds(1000));  // between requests it may wait
    client.send(world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
}

TEST_F(HostileTest, AClientThatResetsBeforeTheAnswerEndsItsRequestAndOwesIt) {
    // The origin's thread may see it after the test's end.
    const auto upstream_closed = std::make_shared<std::atomic<bool>>(false);
    answer = [upstream_closed](Peer& peer, const std::string&) {
        *upstream_closed = peer.at_end();
        return false;
    };
    world.start();
    const auto begun = std::chrono::steady_clock::now();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/") + world.get("http://shop.example/pipelined"));
    wait_for_requests(1);
    client.reset();
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
    EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
    for (int i = 0; i < 2000 && world.gateway->stats().connections_open > 0; ++i)
        std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(world.gateway->stats().connections_open, 0U);
    for (int i = 0; i < 2000 && !*upstream_closed; ++i)
        std::this_thread::sleep_for(milliseconds(1));
    EXPECT_TRUE(*upstream_closed);
}

TEST_F(HostileTest, AClientThatResetsDuringASilentAnswerEndsItAndOwesIt) {
    answer = [](Peer& peer, const std::string&) {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
        peer.read(1);
        return false;
    };
    world.start();
    const auto begun = std::chrono::steady_clock::now();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    client.read_head();
    EXPECT_EQ(client.read(4), "part");
    client.reset();
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
    EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
}

TEST_F(HostileTest, AHalfClosedClientGetsItsAnswer) {
    answer = [](Peer& peer, const std::string&) {
        std::this_thread::sleep_for(milliseconds(2500));
        return peer.send(hello);
    };
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    client.half_close();
    EXPECT_TRUE(client.read_all().ends_with("\r\n\r\nhello"));
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(HostileTest, InsideEveryClaimOfAnAgentIsChecked) {
    world.start();
    const std::string mine = claim(world.agent.str());
    const std::string other = claim(AgentId::generate().str());
    const std::string session =
        "Proxy-Authorization: Bearer " + world.make_token(token::TokenUse::session, 600) + "\r\n";
    struct Case {
        std::string connect, request;
        bool good;
    };
    for (const auto& [connect, request, good] : {
             Case{session, inner(other), false},
             Case{session + mine, inner(other), false},
             Case{other, inner(own_token()), false},
             Case{other, inner(own_token() + mine), false},
             Case{session, inner("X-Nomiqon-Agent-Id: \r\n"), false},
             Case{session + mine, inner(mine), true},
             Case{session, inner(mine), true},
             Case{mine, inner(own_token()), true},
         }) {
        Peer client = inside(connect);
        client.send(request);
        const std::string text = client.read_all();
        EXPECT_TRUE(text.starts_with(good ? "HTTP/1.1 200 " : "HTTP/1.1 401 spend_token_invalid\r\n"))
            << connect << request << text;
    }
    EXPECT_EQ(requests, 3);
    Peer empty = world.connect();
    empty.send(world.get("http://shop.example/", "X-Nomiqon-Agent-Id:\r\n"));
    EXPECT_TRUE(empty.read_head().starts_with("HTTP/1.1 407 spend_token_invalid\r\n"));
}

TEST_F(HostileTest, InsideProxyAuthorizationIsNoTokenAndGoesNoFurther) {
    std::string seen;
    answer = [&](Peer& peer, const std::string& head) {
        seen = head;
        return peer.send(hello);
    };
    world.start();
    for (const std::string target : {"/", "http://shop.example/"}) {
        Peer client = inside("");
        client.send("GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() + "\r\n");
        EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 401 spend_token_missing\r\n")) << target;
    }
    Peer client = inside("");
    client.send(inner(own_token() + "Proxy-Authorization: Negotiate of-the-providers\r\n"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(seen.find("Proxy-Authorization"), std::string::npos) << seen;
}

TEST_F(HostileTest, AnAgentWithTooManyLookUpsIs503AndOwesNothing) {
    world.config.limits.dns_threads = 2;
    world.config.limits.dns_per_agent = 0;  // fewer than may be configured: every look-up is one too many
    world.start();
    Peer client = world.connect();
    client.send(world.connect_request("nobody.invalid:443"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 503 overloaded\r\n"));
    EXPECT_EQ(endings(world, 1), Endings{"released overloaded"});
}

}  // namespace
}  // namespace nomiqon::test
