#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "proxy_world.h"

// Requests in plain HTTP, absolute form and inside CONNECT host:80, through the real proxy, authorizer and
// sockets.

namespace nomiqon::test {
namespace {

std::string answer_of(std::string_view body, const std::string& more = {},
                      const std::string& status = "200 OK") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more +
           "\r\n" + std::string(body);
}

/// Answers each request's head with what the test says; remembers the heads.
struct PlainTest : ::testing::Test {
    std::mutex mutex;
    std::vector<std::string> heads;
    std::function<bool(Peer&, const std::string&)> answer = [](Peer& peer, const std::string&) {
        return peer.send(answer_of("hello"));
    };
    Origin origin{[this](Peer& peer) {
        while (true) {
            const std::string head = peer.read_head();
            if (!head.ends_with("\r\n\r\n")) return;
            {
                const std::lock_guard lock(mutex);
                heads.push_back(head);
            }
            if (!answer(peer, head)) return;
        }
    }};
    World world;
    void SetUp() override { world.route_to("shop.example:80", origin); }

    std::string seen(std::size_t index) {
        const std::lock_guard lock(mutex);
        return index < heads.size() ? heads[index] : "";
    }
    /// The whole of one exchange on a connection of its own.
    std::string exchange(const std::string& request) {
        Peer client = world.connect();
        client.send(request);
        return client.read_all();
    }
    std::string get_and_close(const std::string& more = {}) {
        return exchange(world.get("http://shop.example/things?secret=1", "Connection: close\r\n" + more));
    }
};

TEST_F(PlainTest, ForwardsARequestAndSettlesIt) {
    world.start();
    const std::string answer_text = get_and_close("X-Mine: yes\r\n");
    EXPECT_TRUE(answer_text.starts_with("HTTP/1.1 200 OK\r\n")) << answer_text;
    EXPECT_TRUE(answer_text.ends_with("\r\n\r\nhello")) << answer_text;
    EXPECT_NE(answer_text.find("X-Nomiqon-Request-Id: req_"), std::string::npos);
    EXPECT_NE(answer_text.find("X-Nomiqon-Reserved: 0.001000"), std::string::npos);
    EXPECT_TRUE(seen(0).starts_with("GET /things?secret=1 HTTP/1.1\r\nHost: shop.example\r\n")) << seen(0);
    EXPECT_NE(seen(0).find("X-Mine: yes"), std::string::npos);
    EXPECT_EQ(seen(0).find("Proxy-"), std::string::npos);
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(PlainTest, AnswersPipelinedRequestsInOrderOnOneUpstreamConnection) {
    answer = [](Peer& peer, const std::string& head) { return peer.send(answer_of(head.substr(4, 2))); };
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/1") + world.get("http://shop.example/2") +
                world.get("http://shop.example/3", "Connection: close\r\n"));
    client.read_head();
    EXPECT_EQ(client.read(2), "/1");
    client.read_head();
    EXPECT_EQ(client.read(2), "/2");
    const std::string last = client.read_head();
    EXPECT_NE(last.find("Connection: close"), std::string::npos) << last;
    EXPECT_EQ(client.read_all(), "/3");
    EXPECT_EQ(origin.connections(), 1);
    EXPECT_EQ(endings(world, 3).size(), 3U);
}

TEST_F(PlainTest, StaleKeptConnectionIsNotUsed) {
    answer = [](Peer& peer, const std::string&) {
        peer.send(answer_of("once"));
        return false;  // closes without having said so
    };
    world.start();
    Peer client = world.connect();
    for (int i = 0; i < 3; ++i) {
        client.send(world.get("http://shop.example/"));
        EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
        EXPECT_EQ(client.read(4), "once");
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_EQ(origin.connections(), 3);
}

TEST_F(PlainTest, StreamsChunksAsTheyComeWithTheirTrailers) {
    std::atomic<bool> read_first = false;
    answer = [&](Peer& peer, const std::string&) {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nfirst\r\n");
        while (!read_first)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return peer.send("6;ext=1\r\nsecond\r\n0\r\nX-Sum: 42\r\n\r\n");
    };
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    client.read_head();
    EXPECT_EQ(client.read(10), "5\r\nfirst\r\n");
    read_first = true;
    EXPECT_EQ(client.read_until("0\r\n"), "6\r\nsecond\r\n0\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "X-Sum: 42\r\n\r\n");
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(PlainTest, SendsABodyOnWhateverItsFraming) {
    answer = [](Peer& peer, const std::string& head) {
        const std::string body =
            head.find("chunked") != std::string::npos ? peer.read_until("0\r\n\r\n") : peer.read(11);
        return peer.send(answer_of(body));
    };
    world.start();
    Peer client = world.connect();
    client.send("POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() +
                "Content-Length: 11\r\n\r\nhello");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    client.send(" world");
    client.read_head();
    EXPECT_EQ(client.read(11), "hello world");
    client.send("POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() +
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    client.send("2\r\nde\r\n0\r\n\r\n");
    client.read_head();
    EXPECT_EQ(client.read_until("0\r\n\r\n"), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_EQ(endings(world, 2), (Endings{"settled 0.001000", "settled 0.001000"}));
}

TEST_F(PlainTest, LargeBodiesGoBothWaysAtTheSameTime) {
    const std::size_t size = 8UL * 1024 * 1024;
    answer = [&](Peer& peer, const std::string&) {  // echoes while it reads
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
        for (std::size_t done = 0; done < size; done += 65'536)
            peer.send(peer.read(65'536));
        return true;
    };
    world.start();
    const std::string body(size, 'b');
    Peer client = world.connect();
    std::thread sender([&] {
        client.send("POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() +
                    "Content-Length: " + std::to_string(size) + "\r\n\r\n");
        client.send(body);
    });
    client.read_head();
    EXPECT_TRUE(client.read(size) == body);
    sender.join();
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
    client.send(world.get("http://shop.example/"));  // and the connection goes on
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
}

TEST_F(PlainTest, SaysContinueOnceTheSpendIsReserved) {
    answer = [](Peer& peer, const std::string& head) {
        EXPECT_EQ(head.find("Expect"), std::string::npos);
        return peer.send(answer_of(peer.read(4)));
    };
    world.start();
    Peer client = world.connect();
    const auto request = [&](const std::string& credentials) {
        return "POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + credentials +
               "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    };
    client.send(request(world.paid()));
    EXPECT_EQ(client.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(world.ledger.reserved(), 1U);
    client.send("body");
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(client.read(4), "body");
    client.send(request(""));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 407 "));
}

TEST_F(PlainTest, HeadAndStatusesWithoutBodyLeaveTheConnectionInStep) {
    answer = [](Peer& peer, const std::string& head) {
        if (head.starts_with("HEAD")) return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        if (head.starts_with("GET /204")) return peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        if (head.starts_with("GET /304"))
            return peer.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
        return peer.send(answer_of("end"));
    };
    world.start();
    Peer client = world.connect();
    client.send("HEAD http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() + "\r\n");
    const std::string head = client.read_head();
    EXPECT_NE(head.find("Content-Length: 1000\r\n"), std::string::npos) << head;
    client.send(world.get("http://shop.example/204") + world.get("http://shop.example/304") +
                world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 204 "));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 304 "));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(client.read(3), "end");
    EXPECT_EQ(endings(world, 4),
              (Endings{"settled 0.001000", "settled 0.001000", "settled 0.000000", "settled 0.001000"}));
    EXPECT_EQ(origin.connections(), 1);
}

TEST_F(PlainTest, AnswerUntilCloseBecomesChunksOrEndsWithTheConnection) {
    answer = [](Peer& peer, const std::string&) {
        peer.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        return false;
    };
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    EXPECT_NE(client.read_head().find("Transfer-Encoding: chunked"), std::string::npos);
    EXPECT_TRUE(client.read_until("\r\n0\r\n\r\n").ends_with("\r\n0\r\n\r\n"));
    client.send("GET http://shop.example/ HTTP/1.0\r\n" + world.paid() + "\r\n");
    EXPECT_TRUE(client.read_all().ends_with("\r\n\r\nuntil the end"));
    EXPECT_EQ(endings(world, 2), (Endings{"settled 0.001000", "settled 0.001000"}));
}

TEST_F(PlainTest, TruncatedAnswerDoesNotEndCleanlyAndIsOwedAsUnknown) {
    answer = [](Peer& peer, const std::string& head) {
        peer.send(head.starts_with("GET /chunked")
                      ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
                      : "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return false;
    };
    world.start();
    EXPECT_EQ(exchange(world.get("http://shop.example/chunked")).find("0\r\n\r\n"), std::string::npos);
    EXPECT_TRUE(exchange(world.get("http://shop.example/length")).ends_with("abc"));
    EXPECT_EQ(endings(world, 2), (Endings{"settled 0.001000 unknown", "settled 0.001000 unknown"}));
}

TEST_F(PlainTest, ResetsAnHttp10ClientWhoseAnswerWasCut) {
    answer = [](Peer& peer, const std::string&) {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return false;
    };
    world.start();
    Peer client = world.connect();
    client.send("GET http://shop.example/ HTTP/1.0\r\n" + world.paid() + "\r\n");
    client.read_all();
    EXPECT_TRUE(client.was_reset());
}

TEST_F(PlainTest, UpstreamWithoutAnAnswerIs502AndOwedAsUnknown) {
    answer = [](Peer&, const std::string&) { return false; };
    world.start();
    EXPECT_TRUE(get_and_close().starts_with("HTTP/1.1 502 upstream_unreachable\r\n"));
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000 unknown"});
}

TEST_F(PlainTest, SlowUpstreamIs504AndOwedAsUnknown) {
    answer = [](Peer& peer, const std::string&) {
        peer.read(1);
        return false;
    };
    world.config.upstream.response_timeout = Duration{200};
    world.start();
    EXPECT_TRUE(get_and_close().starts_with("HTTP/1.1 504 upstream_timeout\r\n"));
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000 unknown"});
}

TEST_F(PlainTest, ErrorsCostWhatTheMeteringRulesSay) {
    static const std::vector<std::pair<std::string, std::string>> cases{
        // outlives the origin's threads
        {answer_of("", "", "301 Moved"), "settled 0.000000"},
        {answer_of("no", "", "404 Not Found"), "settled 0.000000"},
        {answer_of("{}", "", "429 Too Many Requests"), "settled 0.000000"},
        {answer_of("late", "", "408 Request Timeout"), "settled 0.001000 unknown"},
        {answer_of("gone", "", "499 Client Closed"), "settled 0.001000 unknown"},
        {answer_of("oops", "Content-Type: text/html\r\n", "500 Internal"), "settled 0.001000 unknown"},
        {answer_of(R"({"error":{"message":"x"}})", "Content-Type: application/json\r\n", "503 Busy"),
         "settled 0.000000"},
        {answer_of(R"({"fine":1})", "Content-Type: application/json\r\n", "503 Busy"),
         "settled 0.001000 unknown"},
    };
    std::atomic<std::size_t> next = 0;
    answer = [&](Peer& peer, const std::string&) { return peer.send(cases.at(next).first); };
    world.start();
    for (; next < cases.size(); ++next) {
        get_and_close();
        const auto ends = endings(world, next + 1);
        ASSERT_EQ(ends.size(), next + 1);
        EXPECT_EQ(ends.back(), cases[next].second) << cases[next].first;
    }
}

TEST_F(PlainTest, BufferedJsonAnswerTellsItsCost) {
    answer = [](Peer& peer, const std::string& head) {
        const bool missing = head.starts_with("GET /missing");
        return peer.send(
            answer_of("{}", "Content-Type: application/json\r\n", missing ? "404 No" : "200 OK"));
    };
    world.start();
    EXPECT_NE(exchange(world.get("http://shop.example/", "Connection: close\r\n"))
                  .find("X-Nomiqon-Cost: 0.001000\r\n"),
              std::string::npos);
    EXPECT_NE(exchange(world.get("http://shop.example/missing", "Connection: close\r\n"))
                  .find("X-Nomiqon-Cost: 0.000000\r\n"),
              std::string::npos);
}

TEST_F(PlainTest, TooLargeABodyIs413) {
    answer = [](Peer& peer, const std::string&) { return !peer.read_until("0\r\n\r\n").empty(); };
    world.config.limits.body_bytes = 1000;
    world.start();
    const std::string post = "POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid();
    EXPECT_TRUE(exchange(post + "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x'))
                    .starts_with("HTTP/1.1 413 request_too_large\r\n"));
    EXPECT_EQ(world.ledger.reserved(), 0U);
    EXPECT_EQ(origin.connections(), 0);
    Peer client = world.connect();
    client.send("POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid() +
                "Transfer-Encoding: chunked\r\n\r\n200\r\n" + std::string(0x200, 'x') + "\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    client.send("200\r\n" + std::string(0x200, 'x') + "\r\n0\r\n\r\n");
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 413 request_too_large\r\n"));
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(PlainTest, AmbiguousRequestsAre400AndGoNowhere) {
    world.start();
    const std::string start = "POST http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n" + world.paid();
    for (const std::string& request :
         {start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
          start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", start + "X-Folded: a\r\n b\r\n\r\n",
          start + "Content-Length : 3\r\n\r\nabc", start + "Content-Length: +3\r\n\r\nabc",
          start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
          std::string("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"), std::string("nonsense\r\n\r\n"),
          std::string("GET http://other.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n")}) {
        const std::string answer_text = exchange(request);
        EXPECT_TRUE(answer_text.starts_with("HTTP/1.1 400 bad_request\r\n"))
            << request << "\n→ " << answer_text;
    }
    EXPECT_EQ(origin.connections(), 0);
    for (const auto& end : endings(world, 0))
        EXPECT_EQ(end, "released bad_request");
}

TEST_F(PlainTest, BlockedAndUnpaidRequestsAreRefusedAndTheConnectionTakesTheRightToken) {
    world.start();
    Peer client = world.connect();
    client.send("GET http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 407 spend_token_missing\r\n"));
    client.read_until("}}");
    client.send(world.get("http://shop.example/"));
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    client.read(5);
    client.send(world.get("http://blocked.example/"));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 403 policy_domain_blocked\r\n"));
    EXPECT_EQ(world.log.str().find("secret"), std::string::npos);
}

TEST_F(PlainTest, SlowHeadIsCut) {
    world.config.limits.header_timeout = Duration{300};
    world.start();
    Peer client = world.connect();
    client.send("GET http://shop.ex");
    EXPECT_TRUE(client.at_end());
}

TEST_F(PlainTest, InsideConnectToPort80EachRequestPays) {
    world.start();
    Peer client = world.connect();
    client.send("CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\nProxy-Authorization: Bearer " +
                world.make_token(token::TokenUse::session, 600) + "\r\n\r\n");
    EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(world.ledger.reserved(), 0U);
    for (int i = 0; i < 2; ++i) {
        client.send("GET /inner HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 OK\r\n"));
        EXPECT_EQ(client.read(5), "hello");
    }
    EXPECT_EQ(endings(world, 2), (Endings{"settled 0.001000", "settled 0.001000"}));
    client.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n");
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 400 bad_request\r\n"));
}

TEST_F(PlainTest, InsideAOnceTokenPaysForOneRequestAndClosesTheConnection) {
    world.start();
    Peer client = world.connect();
    client.send("CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\n" + world.paid() + "\r\n");
    client.read_head();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_NE(client.read_head().find("Connection: close\r\n"), std::string::npos);
    EXPECT_EQ(client.read_all(), "hello");
}

TEST_F(PlainTest, InsideASessionAboutToExpireClosesWithItsNextAnswer) {
    world.start();
    Peer client = world.connect();
    client.send("CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\nProxy-Authorization: Bearer " +
                world.make_token(token::TokenUse::session, 20) + "\r\n\r\n");
    client.read_head();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_NE(client.read_head().find("Connection: close\r\n"), std::string::npos);
}

TEST_F(PlainTest, InsideRefusalsAre401AndTlsIsCut) {
    world.start();
    const auto open = [&] {
        Peer client = world.connect();
        client.send("CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\n\r\n");
        EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 "));
        return client;
    };
    Peer unpaid = open();
    unpaid.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_TRUE(unpaid.read_all().starts_with("HTTP/1.1 401 spend_token_missing\r\n"));
    Peer own = open();
    own.send("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Nomiqon-Spend-Token: " + world.make_token() +
             "\r\n\r\n");
    EXPECT_TRUE(own.read_head().starts_with("HTTP/1.1 200 "));
    Peer tls = open();
    tls.send(client_hello("shop.example"));
    EXPECT_EQ(tls.read_all(), "");
    Peer bad = world.connect();
    bad.send(
        "CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\nProxy-Authorization: Bearer "
        "x.y.z\r\n\r\n");
    EXPECT_TRUE(bad.read_head().starts_with("HTTP/1.1 407 spend_token_invalid\r\n"));
    EXPECT_EQ(seen(0).find("Spend-Token"), std::string::npos);
}

TEST_F(PlainTest, DrainLetsARequestFinishAndClosesIdleConnections) {
    std::atomic<bool> asked = false;
    answer = [&](Peer& peer, const std::string&) {
        asked = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        return peer.send(answer_of("late"));
    };
    world.start();
    Peer idle = world.connect();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    while (!asked)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::thread drainer([&] { world.gateway->drain(Duration{10'000}); });
    EXPECT_TRUE(idle.at_end());
    EXPECT_TRUE(client.read_all().ends_with("late"));
    drainer.join();
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000"});
}

TEST_F(PlainTest, DestroyingTheGatewayEndsEveryReservation) {
    std::atomic<bool> asked = false;
    answer = [&](Peer& peer, const std::string&) {
        asked = true;
        peer.read(1);
        return false;
    };
    world.start();
    Peer client = world.connect();
    client.send(world.get("http://shop.example/"));
    while (!asked)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    world.gateway.reset();
    EXPECT_EQ(endings(world, 1), Endings{"settled 0.001000 unknown"});
}

}  // namespace
}  // namespace nomiqon::test
