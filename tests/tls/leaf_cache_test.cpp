#include "nomiqon/tls/leaf_cache.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "tls/tls_world.h"

namespace nomiqon::tls {
namespace {

struct World {
    explicit World(std::vector<std::string> name_constraints = {}, LeafCache::Options options = {})
        : authority(CertificateAuthority::open(directory.path(),
                                               {.name_constraints = std::move(name_constraints)}, clock)
                        .value()),
          cache(*authority, options, clock) {}

    TestDirectory directory;
    TestClock clock;
    std::unique_ptr<CertificateAuthority> authority;
    LeafCache cache;

    LeafCache::Result wait_for(const HostName& name) {
        std::promise<LeafCache::Result> answer;
        cache.request(name, [&](LeafCache::Result result) { answer.set_value(std::move(result)); });
        return answer.get_future().get();
    }
    [[nodiscard]] int verdict(SSL_CTX* context, const HostName& name) const {
        return strict_verdict(leaf_of(context).get(), {authority->issuer()->certificate()}, {}, name,
                              clock.now());
    }
};

std::string subject_alt_name(X509* certificate) {
    const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    const BioPtr out{BIO_new(BIO_s_mem())};
    X509V3_EXT_print(out.get(), X509_get_ext(certificate, at), 0, 0);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

TEST(LeafCache, LeavesPassTheStrictChecksOfRfc5280) {
    World world;
    const std::string long_name = std::string(60, 'a') + ".example.com";
    for (const std::string name : {"api.openai.com", "10.0.0.1", "[2001:db8::1]", "_dmarc.example.com",
                                   "xn--bcher-kva.example", long_name.c_str()}) {
        const auto context = world.cache.mint(host(name));
        ASSERT_TRUE(context) << name;
        EXPECT_EQ(world.verdict(context->get(), host(name)), X509_V_OK) << name;
        EXPECT_NE(world.verdict(context->get(), host("other.example")), X509_V_OK);
    }
}

TEST(LeafCache, ALeafNamesItsHostAndNothingElse) {
    World world;
    const auto leaf = leaf_of(world.cache.mint(host("api.openai.com"))->get());
    EXPECT_EQ(subject_alt_name(leaf.get()), "DNS:api.openai.com");
    EXPECT_EQ(subject_of(leaf.get()), "CN=api.openai.com");
    EXPECT_EQ(X509_get_key_usage(leaf.get()), static_cast<unsigned>(KU_DIGITAL_SIGNATURE));
    EXPECT_EQ(X509_get_extended_key_usage(leaf.get()), static_cast<unsigned>(XKU_SSL_SERVER));
    EXPECT_EQ(ASN1_STRING_length(X509_get0_serialNumber(leaf.get())), 20);
    EXPECT_EQ(subject_alt_name(leaf_of(world.cache.mint(host("10.0.0.1"))->get()).get()),
              "IP Address:10.0.0.1");
}

TEST(LeafCache, AHostTooLongForASubjectGetsNoneAndACriticalAlternativeName) {
    World world;
    const auto leaf = leaf_of(world.cache.mint(host(std::string(60, 'a') + ".example.com"))->get());
    EXPECT_EQ(subject_of(leaf.get()), "");
    const int at = X509_get_ext_by_NID(leaf.get(), NID_subject_alt_name, -1);
    EXPECT_EQ(X509_EXTENSION_get_critical(X509_get_ext(leaf.get(), at)), 1);
}

TEST(LeafCache, ALeafLivesAWeekAndNeverLongerThanItsCa) {
    World world;
    auto info = describe(leaf_of(world.cache.mint(host("a.example"))->get()).get());
    EXPECT_LE(info.not_after - info.not_before, 7 * 24h);
    EXPECT_GT(info.not_after, world.clock.now() + 6 * 24h);
    EXPECT_LE(info.not_before, world.clock.now() - 59min);
    world.clock.advance(
        world.authority->expires() - world.clock.now() > 48h
            ? std::chrono::floor<Duration>(world.authority->expires() - world.clock.now() - 48h)
            : Duration{0});
    info = describe(leaf_of(world.cache.mint(host("a.example"))->get()).get());
    EXPECT_EQ(info.not_after, world.authority->expires());
    world.clock.advance(49h);
    EXPECT_EQ(world.cache.mint(host("a.example")).error(), LeafError::ca_not_valid);
}

TEST(LeafCache, FindGivesWhatARequestMade) {
    World world;
    EXPECT_EQ(world.cache.find(host("a.example")), nullptr);
    const auto made = world.wait_for(host("a.example"));
    ASSERT_TRUE(made);
    EXPECT_EQ(world.cache.find(host("a.example")), *made);
    bool called = false;
    world.cache.request(host("a.example"), [&](const LeafCache::Result& result) {
        called = true;
        EXPECT_EQ(*result, *made);
    });
    EXPECT_TRUE(called) << "what is there is given at once";
    EXPECT_EQ(world.cache.stats().minted, 1U);
}

TEST(LeafCache, ALeafIsRenewedBeforeItsEndWhileTheOldOneServes) {
    World world;
    const auto first = world.cache.mint(host("a.example")).value();
    world.clock.advance(4 * 24h);
    EXPECT_EQ(world.cache.find(host("a.example")), first);
    world.clock.advance(24h);
    EXPECT_EQ(world.cache.find(host("a.example")), first) << "good for two more days";
    while (world.cache.find(host("a.example")) == first)
        std::this_thread::yield();
    const auto second = world.cache.find(host("a.example"));
    EXPECT_EQ(world.verdict(second.get(), host("a.example")), X509_V_OK);
    world.clock.advance(7 * 24h);
    EXPECT_EQ(world.cache.find(host("a.example")), nullptr) << "never one that has ended";
}

TEST(LeafCache, ANewCaMakesNewLeaves) {
    World world;
    const auto old = world.cache.mint(host("a.example")).value();
    const CaStore store{world.directory.path(), world.clock};
    ASSERT_TRUE(store.rotate({}));
    ASSERT_TRUE(store.activate());
    ASSERT_TRUE(world.authority->reload().value());
    EXPECT_EQ(world.cache.find(host("a.example")), nullptr);
    const auto fresh = world.wait_for(host("a.example")).value();
    EXPECT_EQ(world.verdict(fresh.get(), host("a.example")), X509_V_OK);
    EXPECT_NE(world.verdict(old.get(), host("a.example")), X509_V_OK);
}

TEST(LeafCache, TheLeastRecentlyUsedLeafGoesFirst) {
    World world{{}, {.leaves = 2}};
    ASSERT_TRUE(world.cache.mint(host("a.example")));
    ASSERT_TRUE(world.cache.mint(host("b.example")));
    EXPECT_NE(world.cache.find(host("a.example")), nullptr);
    ASSERT_TRUE(world.cache.mint(host("c.example")));
    EXPECT_NE(world.cache.find(host("a.example")), nullptr);
    EXPECT_EQ(world.cache.find(host("b.example")), nullptr);
    EXPECT_EQ(world.cache.stats().leaves, 2U);
    EXPECT_EQ(world.cache.stats().evicted, 1U);
}

/// Holds the minting thread in a callback until it is let go.
class Gate {
  public:
    explicit Gate(LeafCache& cache) {
        cache.request(host("gate.example"), [this](const LeafCache::Result&) {
            entered_.set_value();
            opened_.get_future().wait();
        });
        entered_.get_future().wait();
    }
    void open() { opened_.set_value(); }

  private:
    std::promise<void> entered_, opened_;
};

TEST(LeafCache, RequestsForOneHostShareOneLeaf) {
    World world;
    Gate gate{world.cache};
    std::vector<LeafCache::Context> answers;
    std::promise<void> all;
    for (int i = 0; i < 100; ++i) {
        world.cache.request(host("a.example"), [&](LeafCache::Result result) {
            answers.push_back(*result);
            if (answers.size() == 100) all.set_value();
        });
    }
    EXPECT_EQ(world.cache.stats().waiting, 100U);
    gate.open();
    all.get_future().wait();
    for (const auto& answer : answers)
        EXPECT_EQ(answer, answers[0]);
    EXPECT_EQ(world.cache.stats().minted, 2U) << "the gate's and this one";
}

TEST(LeafCache, BeyondTheQueueItIsOverloaded) {
    World world{{}, {.queue = 3}};
    Gate gate{world.cache};
    std::atomic<int> served = 0;
    for (int i = 0; i < 3; ++i) {
        world.cache.request(host(std::to_string(i) + ".example"),
                            [&](const LeafCache::Result& result) { served += result ? 1 : 0; });
    }
    std::optional<LeafError> refused;
    world.cache.request(host("3.example"),
                        [&](const LeafCache::Result& result) { refused = result.error(); });
    EXPECT_EQ(refused, LeafError::overloaded) << "told at once";
    gate.open();
    while (served < 3)
        std::this_thread::yield();
    EXPECT_TRUE(world.wait_for(host("3.example")));
}

TEST(LeafCache, WhoeverWaitsIsAnsweredOnceEvenAtTheEnd) {
    std::vector<LeafCache::Result> answers;
    std::mutex mutex;
    {
        World world;
        for (int i = 0; i < 50; ++i) {
            world.cache.request(host("h" + std::to_string(i) + ".example"), [&](LeafCache::Result result) {
                const std::lock_guard lock{mutex};
                answers.push_back(std::move(result));
            });
        }
    }
    EXPECT_EQ(answers.size(), 50U);
    for (const auto& answer : answers) {
        if (!answer) {
            EXPECT_EQ(answer.error(), LeafError::shutting_down);
        }
    }
}

TEST(LeafCache, HostsOutsideTheNameConstraintsGetNoLeaf) {
    World world{{"openai.com"}};
    EXPECT_TRUE(world.cache.mint(host("openai.com")));
    const auto context = world.cache.mint(host("api.openai.com"));
    ASSERT_TRUE(context);
    EXPECT_EQ(world.verdict(context->get(), host("api.openai.com")), X509_V_OK);
    for (const std::string name : {"evilopenai.com", "example.com", "10.0.0.1", "[2001:db8::1]"})
        EXPECT_EQ(world.cache.mint(host(name)).error(), LeafError::not_permitted) << name;
    EXPECT_EQ(world.wait_for(host("example.com")).error(), LeafError::not_permitted);
}

TEST(LeafCache, AnImportedIntermediateIsSentWithTheLeafButItsRootIsNot) {
    TestDirectory directory;
    TestClock clock;
    const auto root = make({.name = "root", .extensions = ca_extensions()});
    const auto between = make({.name = "between", .issuer = &root, .extensions = ca_extensions()});
    write(directory / "chain.pem", root.pem() + between.pem());
    write(directory / "import.key", key_pem(between.key.get()));
    ASSERT_TRUE(
        CaStore(directory.path(), clock).import(directory / "chain.pem", directory / "import.key", true));
    const auto authority = CertificateAuthority::open(directory.path(), {}, clock).value();
    LeafCache cache{*authority, {}, clock};
    const auto context = cache.mint(host("a.example")).value();
    STACK_OF(X509)* sent = nullptr;
    SSL_CTX_get0_chain_certs(context.get(), &sent);
    ASSERT_EQ(sk_X509_num(sent), 1);
    EXPECT_EQ(strict_verdict(leaf_of(context.get()).get(), {root.certificate.get()}, {sk_X509_value(sent, 0)},
                             host("a.example"), clock.now()),
              X509_V_OK);
}

TEST(LeafCache, ManyThreadsMayUseItAtOnce) {
    World world{{}, {.leaves = 8, .queue = 64}};
    std::atomic<int> answered = 0;
    std::atomic<int> asked = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < 100; ++i) {
                    const auto name = host("h" + std::to_string((i + t) % 12) + ".example");
                    if (const auto context = world.cache.find(name)) {
                        const SslPtr connection{SSL_new(context.get())};
                    } else {
                        ++asked;
                        world.cache.request(name, [&](const LeafCache::Result&) { ++answered; });
                    }
                    if (t == 0 && i % 20 == 0) static_cast<void>(world.authority->reload());
                }
            });
        }
    }
    while (answered < asked)
        std::this_thread::yield();
    EXPECT_LE(world.cache.stats().leaves, 8U);
    EXPECT_EQ(world.cache.stats().waiting, 0U);
}

}  // namespace
}  // namespace nomiqon::tls
