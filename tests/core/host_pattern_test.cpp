#include "nomiqon/core/host_pattern.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "nomiqon/core/suggestion.h"

namespace nomiqon {
namespace {

HostPattern pattern(std::string_view text) {
    return HostPattern::parse(text, 1).value();
}
bool takes(std::string_view text, std::string_view host) {
    return pattern(text).matches_host(HostName::parse(host).value());
}

TEST(HostPattern, IsWrittenAsItWasReadButCanonical) {
    for (const auto* text : {"*", "*:8443", "a.test", "a.test:1", "*.a.test", "*.a.test:65535", "[::1]",
                             "[::1]:443", "192.0.2.1:80"}) {
        EXPECT_EQ(pattern(text).to_string(), text);
    }
    EXPECT_EQ(pattern("*.BÜCHER.example.:1").to_string(), "*.xn--bcher-kva.example:1");
    EXPECT_TRUE(pattern("[::1]").ip_literal);
    EXPECT_FALSE(pattern("a.test").ip_literal);
}

TEST(HostPattern, AsksForAsManyLabelsAsItsListDoes) {
    EXPECT_TRUE(HostPattern::parse("*.test", 1));
    EXPECT_FALSE(HostPattern::parse("*.test"));
    EXPECT_TRUE(HostPattern::parse("*.a.test"));
}

TEST(HostPattern, MatchesByWholeLabels) {
    EXPECT_TRUE(takes("*.a.test", "x.a.test"));
    EXPECT_FALSE(takes("*.a.test", "a.test"));
    EXPECT_FALSE(takes("*.a.test", "xa.test"));
    EXPECT_FALSE(takes("*.a.test", ("x.a.test.evil.test")));
    EXPECT_TRUE(takes("*", "[::1]"));
    EXPECT_TRUE(takes("[::1]", "[::1]"));
}

TEST(HostPattern, IncludesWhatItWouldTakeAnyway) {
    const auto includes = [](std::string_view wide, std::string_view narrow) {
        return pattern(wide).includes(pattern(narrow));
    };
    EXPECT_TRUE(includes("*", "*.a.test"));
    EXPECT_TRUE(includes("*", "[::1]:1"));
    EXPECT_TRUE(includes("*.a.test", "*.b.a.test"));
    EXPECT_TRUE(includes("*.a.test", "b.a.test:1"));
    EXPECT_TRUE(includes("a.test", "a.test:1"));
    EXPECT_FALSE(includes("a.test:1", "a.test"));
    EXPECT_FALSE(includes("*.a.test", "a.test"));
    EXPECT_FALSE(includes("*.a.test", "*"));
    EXPECT_FALSE(includes("a.test", "*.a.test"));
    EXPECT_FALSE(includes("*.a.test:1", "b.a.test:2"));
}

TEST(Suggestion, IsTheNearestNameOrNone) {
    constexpr std::array<std::string_view, 4> names{"dailyCap", "totalCap", "allowlist", "warn"};
    EXPECT_EQ(nearest_name("daily_cap", names), "dailyCap");
    EXPECT_EQ(nearest_name("alowList", names), "allowlist");
    EXPECT_EQ(nearest_name("warning", names), "warn");
    EXPECT_FALSE(nearest_name("zebra", names));
    EXPECT_FALSE(nearest_name("", names));
    EXPECT_FALSE(nearest_name("x", {}));
}

TEST(Suggestion, QuotesShortAndPrintable) {
    EXPECT_EQ(in_backticks("a\nb"), "`a?b`");
    EXPECT_EQ(in_backticks(std::string(65, 'a')), '`' + std::string(64, 'a') + "…`");
    EXPECT_EQ(in_backticks(std::string(63, 'a') + "üb"), '`' + std::string(63, 'a') + "…`");
}

}  // namespace
}  // namespace nomiqon
