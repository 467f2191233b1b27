#include "nomiqon/core/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

namespace {

// What memory held when it was given back, for the one place that a test watches.
const void* watched = nullptr;
std::array<char, 6> left_behind{};

void give_back(void* memory) {
    if (memory != nullptr && memory == watched) {
        std::copy_n(static_cast<const char*>(memory), left_behind.size(), left_behind.begin());
        watched = nullptr;
    }
    std::free(memory);
}

}  // namespace

void* operator new[](std::size_t size) {
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void operator delete[](void* memory) noexcept {
    give_back(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    give_back(memory);
}

namespace nomiqon {
namespace {

template <typename T>
concept Printable = requires(std::ostream& stream, const T& value) { stream << value; };

static_assert(!Printable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view> &&
              !std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<std::string, Secret>, "nothing becomes a secret unseen");
static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);

void watch(const Secret& secret) {
    left_behind.fill('?');
    watched = secret.reveal().data();
}

constexpr std::array<char, 6> zeros{};

TEST(Secret, HoldsItsText) {
    const Secret secret{"sk-123"};
    EXPECT_EQ(secret.reveal(), "sk-123");
    EXPECT_EQ(secret.size(), 6U);
    EXPECT_TRUE(Secret().empty());
    EXPECT_EQ(Secret().reveal(), "");
    EXPECT_TRUE(Secret("").empty());
}

TEST(Secret, IsWipedWhenItEnds) {
    {
        const Secret secret{"sk-123"};
        watch(secret);
    }
    EXPECT_EQ(left_behind, zeros);
}

TEST(Secret, IsWipedWhenItIsReplaced) {
    Secret secret{"sk-123"};
    watch(secret);
    secret = Secret{"sk-456"};
    EXPECT_EQ(left_behind, zeros);
    watch(secret);
    const Secret other{"sk-789"};
    secret = other;
    EXPECT_EQ(left_behind, zeros);
    EXPECT_EQ(secret.reveal(), "sk-789");
    EXPECT_EQ(other.reveal(), "sk-789");
    secret = std::as_const(secret);
    EXPECT_EQ(secret.reveal(), "sk-789");
}

TEST(Secret, LeavesNothingWhereItWasMovedFrom) {
    Secret from{"sk-123"};
    const auto* text = from.reveal().data();
    Secret to{std::move(from)};
    EXPECT_EQ(to.reveal().data(), text);
    EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): what this is about
    EXPECT_EQ(from.reveal(), "");
    from = std::move(to);
    EXPECT_EQ(from.reveal(), "sk-123");
    EXPECT_TRUE(to.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(Secret, TakesATextOver) {
    std::string text = "sk-123";
    const char* place = text.data();
    const auto secret = Secret::taken_from(text);
    EXPECT_EQ(secret.reveal(), "sk-123");
    EXPECT_TRUE(text.empty());
    EXPECT_TRUE(std::all_of(place, place + 6, [](char c) { return c == '\0'; }));
}

TEST(Secret, IsJoinedOfParts) {
    const std::array parts{Secret("Bearer "), Secret(), Secret("sk-1"), Secret("23")};
    EXPECT_EQ(Secret::joined(parts).reveal(), "Bearer sk-123");
    EXPECT_TRUE(Secret::joined({}).empty());
}

TEST(Secret, EqualsOneOfTheSameText) {
    EXPECT_TRUE(Secret("a") == Secret("a"));
    EXPECT_TRUE(Secret() == Secret(""));
    EXPECT_FALSE(Secret("a") == Secret("b"));
    EXPECT_FALSE(Secret("a") == Secret("ab"));
    EXPECT_FALSE(Secret("a") == Secret());
}

}  // namespace
}  // namespace nomiqon
