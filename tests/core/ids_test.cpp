#include "nomiqon/core/ids.h"

#include <gtest/gtest.h>
#include <chrono>
#include <set>
#include <thread>

#include "nomiqon/core/caid.h"

namespace nomiqon {
namespace {

TEST(Ulid, IsWellFormedAndUnique) {
    std::set<std::string> seen;
    for (int i = 0; i < 10'000; ++i) {
        const std::string ulid = new_ulid();
        EXPECT_TRUE(is_ulid(ulid)) << ulid;
        EXPECT_TRUE(seen.insert(ulid).second);
    }
}

TEST(Ulid, SortsByTime) {
    const std::string earlier = new_ulid();
    std::this_thread::sleep_for(std::chrono::milliseconds{3});
    EXPECT_LT(earlier.substr(0, 10), new_ulid().substr(0, 10));
}

TEST(Ulid, OtherSpellingsAreRefused) {
    EXPECT_TRUE(is_ulid("01arz3ndektsv4rrffq69g5fav"));
    EXPECT_TRUE(is_ulid("7zzzzzzzzzzzzzzzzzzzzzzzzz"));
    for (const std::string_view text :
         {"", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "81arz3ndektsv4rrffq69g5fav", "01arz3ndektsv4rrffq69g5fa",
          "01arz3ndektsv4rrffq69g5favv", "01arz3ndektsv4rrffq69g5fai", "01arz3ndektsv4rrffq69g5fal",
          "01arz3ndektsv4rrffq69g5fao", "01arz3ndektsv4rrffq69g5fau", "01arz3ndektsv4rrffq69g5fa "}) {
        EXPECT_FALSE(is_ulid(text)) << text;
    }
}

TEST(Id, KindsDoNotMix) {
    const AgentId agent = AgentId::generate();
    EXPECT_EQ(AgentId::parse(agent.str()), agent);
    EXPECT_EQ(PolicyId::parse(agent.str()), std::nullopt);
    EXPECT_EQ(AgentId::parse("ag_"), std::nullopt);
    EXPECT_EQ(AgentId::parse(agent.str() + "x"), std::nullopt);
    EXPECT_EQ(AgentId::parse("AG_" + agent.str().substr(3)), std::nullopt);
    EXPECT_TRUE(TransactionId::generate().str().starts_with("txn_"));
}

TEST(Caid, IsTheBase58OfTheKey) {
    PublicKey key{};
    key.fill(7);
    const Caid caid{key};
    EXPECT_EQ(Caid::parse(caid.str()), caid);
    EXPECT_EQ(caid.str(), "caid_" + std::string{caid.base58()});
    EXPECT_EQ(Caid::parse(caid.str())->public_key(), key);
}

TEST(Caid, HasOneSpelling) {
    PublicKey zeros{};
    const std::string text = Caid{zeros}.str();
    EXPECT_EQ(text, "caid_" + std::string(32, '1'));
    EXPECT_TRUE(Caid::parse(text));
    EXPECT_EQ(Caid::parse(text + '1'), std::nullopt);
    EXPECT_EQ(Caid::parse(text.substr(0, text.size() - 1)), std::nullopt);
    EXPECT_EQ(Caid::parse(text.substr(5)), std::nullopt);
    EXPECT_EQ(Caid::parse("CAID_" + text.substr(5)), std::nullopt);
    EXPECT_EQ(Caid::parse("caid_"), std::nullopt);
    EXPECT_EQ(Caid::parse(""), std::nullopt);
    EXPECT_EQ(Caid::parse("caid_ " + text.substr(5)), std::nullopt);
}

TEST(Ids, NoneSortsBeforeTheFirstOfItsTime) {
    const auto before = std::chrono::system_clock::now();
    const auto id = TransactionId::generate();
    EXPECT_LE(TransactionId::first_at(before), id);
    EXPECT_GT(TransactionId::first_at(before + std::chrono::hours{1}), id);
    EXPECT_TRUE(TransactionId::parse(TransactionId::first_at(before).str()));
}

}  // namespace
}  // namespace nomiqon
