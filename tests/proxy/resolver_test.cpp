#include "resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// The resolver against a system whose name servers are silent until the test lets them speak.

namespace nomiqon::proxy {
namespace {

using std::chrono::milliseconds;

/// Names that start with `hang` wait for `release`; all others have an address at once.
struct System {
    ResolveAnswer ask(const std::string& host) {
        std::unique_lock lock(mutex);
        ++asked[host];
        changed.notify_all();
        if (host.starts_with("hang")) changed.wait(lock, [this] { return released; });
        if (host.starts_with("hang.fail")) return std::unexpected(ResolveError::failed);
        return Addresses{IpAddress::v4({192, 0, 2, 1})};
    }
    void release() {
        const std::lock_guard lock(mutex);
        released = true;
        changed.notify_all();
    }
    void wait_until_asked(std::size_t names) {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(5), [&] { return asked.size() >= names; }));
    }
    int count(const std::string& host) {
        const std::lock_guard lock(mutex);
        return asked[host];
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, int> asked;
    bool released = false;
};

struct ResolverTest : ::testing::Test {
    ~ResolverTest() override {
        system.release();
        work.reset();
        thread.join();
    }
    std::future<ResolveAnswer> start(const AgentId& agent, const std::string& host,
                                     Duration timeout = Duration{5000}) {
        return boost::asio::co_spawn(io, resolver.lookup(agent, host, timeout), boost::asio::use_future);
    }
    ResolveAnswer lookup(const AgentId& agent, const std::string& host, Duration timeout = Duration{5000}) {
        return start(agent, host, timeout).get();
    }

    System system;
    AgentId hostile = AgentId::generate();
    AgentId honest = AgentId::generate();
    boost::asio::io_context io{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
    Resolver resolver{{.threads = 3, .per_agent = 2, .failure = Duration{400}},
                      [this](const std::string& host) { return system.ask(host); }};
    std::thread thread{[this] { io.run(); }};
};

TEST_F(ResolverTest, OneAgentsSilentNamesLeaveThreadsForOthers) {
    std::vector<std::future<ResolveAnswer>> hanging;
    for (int i = 0; i < 10; ++i)
        hanging.push_back(start(hostile, "hang" + std::to_string(i) + ".example"));
    system.wait_until_asked(2);
    EXPECT_TRUE(lookup(honest, "shop.example"));
    for (int i = 2; i < 10; ++i)
        EXPECT_EQ(hanging.at(static_cast<std::size_t>(i)).get().error(), ResolveError::overloaded);
    system.release();
    EXPECT_TRUE(hanging[0].get());
    EXPECT_TRUE(hanging[1].get());
    EXPECT_TRUE(lookup(hostile, "shop.example")) << "what is back is charged no more";
}

TEST_F(ResolverTest, AnAgentIsChargedUntilTheThreadIsBack) {
    EXPECT_EQ(lookup(hostile, "hang1.example", Duration{50}).error(), ResolveError::timeout);
    EXPECT_EQ(lookup(hostile, "hang2.example", Duration{50}).error(), ResolveError::timeout);
    EXPECT_EQ(lookup(hostile, "shop.example").error(), ResolveError::overloaded);
    EXPECT_TRUE(lookup(honest, "shop.example"));
}

TEST_F(ResolverTest, ANameThatOnlyWaitsCostsNothingOnceNobodyWantsIt) {
    const auto other = AgentId::generate();
    for (const auto& [agent, host] :
         {std::pair{hostile, "hang1.example"}, {hostile, "hang2.example"}, {other, "hang3.example"}})
        start(agent, host).wait_for(milliseconds(0));
    system.wait_until_asked(3);
    EXPECT_EQ(lookup(honest, "a.example", Duration{50}).error(), ResolveError::timeout);
    EXPECT_EQ(lookup(honest, "b.example", Duration{50}).error(), ResolveError::timeout);
    auto queued = start(honest, "a.example");
    system.release();
    EXPECT_TRUE(queued.get());
    EXPECT_EQ(system.count("b.example"), 0);
}

TEST_F(ResolverTest, ANameIsLookedUpOnceForAllWhoAsk) {
    auto first = start(hostile, "hang.example");
    auto second = start(honest, "hang.example");
    system.wait_until_asked(1);
    auto third = start(honest, "hang.example");
    EXPECT_EQ(third.wait_for(milliseconds(50)), std::future_status::timeout);
    system.release();
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(third.get());
    EXPECT_EQ(system.count("hang.example"), 1);
}

TEST_F(ResolverTest, ANameThatTimedOutFailsAtOnceForAWhile) {
    EXPECT_EQ(lookup(hostile, "hang.fail.example", Duration{50}).error(), ResolveError::timeout);
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(lookup(honest, "hang.fail.example").error(), ResolveError::timeout);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(1000));
    system.release();
    std::this_thread::sleep_for(milliseconds(500));
    EXPECT_EQ(lookup(honest, "hang.fail.example").error(), ResolveError::failed);
    EXPECT_EQ(system.count("hang.fail.example"), 2);
}

TEST_F(ResolverTest, AFailureThatTookLongIsRememberedAQuickOneIsNot) {
    auto slow = start(hostile, "hang.fail.example");
    system.wait_until_asked(1);
    std::this_thread::sleep_for(milliseconds(1100));
    system.release();
    EXPECT_EQ(slow.get().error(), ResolveError::failed);
    EXPECT_EQ(lookup(honest, "hang.fail.example").error(), ResolveError::failed);
    EXPECT_EQ(system.count("hang.fail.example"), 1);
    std::this_thread::sleep_for(milliseconds(450));
    EXPECT_EQ(lookup(honest, "hang.fail.example").error(), ResolveError::failed);
    EXPECT_EQ(lookup(honest, "hang.fail.example").error(), ResolveError::failed);
    EXPECT_EQ(system.count("hang.fail.example"), 3);
}

}  // namespace
}  // namespace nomiqon::proxy
