#include "nomiqon/policy/policy.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace nomiqon::policy {
namespace {

using nlohmann::json;

std::shared_ptr<const Policy> policy(const char* document, const ParseOptions& options = {}) {
    auto parsed = Policy::parse(json::parse(document), options);
    if (!parsed) throw std::invalid_argument(parsed.error().pointer + ": " + parsed.error().message);
    return *parsed;
}

PolicyProblem problem_of(const json& document, const ParseOptions& options = {}) {
    const auto parsed = Policy::parse(document, options);
    if (parsed) return {"(accepted)", ""};
    return parsed.error();
}

PolicyProblem problem(const char* document) {
    return problem_of(json::parse(document));
}

Time at(std::string_view text) {
    return parse_time(text).value();
}

/// A CONNECT to "host:port", or a plain request if `scheme` says so.
Request to(std::string_view where, Scheme scheme = Scheme::https) {
    auto endpoint = Endpoint::parse(where, default_port(scheme));
    if (!endpoint) throw std::invalid_argument(std::string(where) + ": " + endpoint.error());
    return {.scheme = scheme, .host = endpoint->host, .port = endpoint->port, .method = "GET"};
}

const auto noon = at("2026-05-24T12:00:00Z");

std::string decision(const Policy& policy, const Request& request, Time now = noon) {
    const auto refusal = policy.decide(request, now);
    return refusal ? std::string(info(*refusal).name) : "go on";
}

bool allows(const char* document, std::string_view where, Scheme scheme = Scheme::https) {
    return decision(*policy(document), to(where, scheme)) == "go on";
}

TEST(Policy, EmptyDocumentSetsNoLimitsAndLetsEveryNameThrough) {
    const auto empty = policy("{}");
    EXPECT_FALSE(empty->daily_cap() || empty->total_cap() || empty->max_per_request() || empty->frozen());
    EXPECT_EQ(decision(*empty, to("example.com")), "go on");
    EXPECT_EQ(decision(*empty, to("example.com:8443")), "go on");
    EXPECT_EQ(decision(Policy(), to("example.com")), "go on");
}

TEST(Policy, AddressesAreBlockedUnlessListed) {
    EXPECT_FALSE(allows("{}", "192.0.2.1"));
    EXPECT_FALSE(allows(R"({"allowlist": ["*"]})", "192.0.2.1"));
    EXPECT_FALSE(allows(R"({"allowlist": ["*"]})", "[2001:db8::1]"));
    EXPECT_TRUE(allows(R"({"allowlist": ["192.0.2.1"]})", "192.0.2.1"));
    EXPECT_TRUE(allows(R"({"allowlist": ["[2001:db8::1]:8443"]})", "[2001:db8::1]:8443"));
    EXPECT_FALSE(allows(R"({"allowlist": ["[2001:db8::1]:8443"]})", "[2001:db8::1]"));
}

TEST(Policy, EmptyAllowlistBlocksEverything) {
    EXPECT_FALSE(allows(R"({"allowlist": []})", "example.com"));
}

TEST(Policy, NullMembersAreAbsent) {
    const auto p = policy(R"({"dailyCap": null, "allowlist": null, "frozen": null, "rateLimit": null,
                              "activeHours": null})");
    EXPECT_FALSE(p->daily_cap());
    EXPECT_EQ(decision(*p, to("example.com")), "go on");
}

TEST(Policy, AllowlistNamesExactHosts) {
    constexpr auto list = R"({"allowlist": ["api.openai.com"]})";
    EXPECT_TRUE(allows(list, "api.openai.com"));
    for (const auto* other :
         {"openai.com", "x.api.openai.com", "evilapi.openai.com", "api.openai.com.evil.com"}) {
        EXPECT_FALSE(allows(list, other)) << other;
    }
}

TEST(Policy, WildcardTakesOneOrMoreLabelsBelowButNotTheNameItself) {
    constexpr auto list = R"({"allowlist": ["*.example.com"]})";
    EXPECT_TRUE(allows(list, "a.example.com"));
    EXPECT_TRUE(allows(list, "b.a.example.com"));
    for (const auto* other : {"example.com", "evilexample.com", "a.example.com.evil.com", "a.example.org"}) {
        EXPECT_FALSE(allows(list, other)) << other;
    }
}

TEST(Policy, EntryWithoutPortMeansTheSchemesOwnPort) {
    constexpr auto list = R"({"allowlist": ["a.test", "*.b.test"]})";
    EXPECT_TRUE(allows(list, "a.test:443"));
    EXPECT_FALSE(allows(list, "a.test:80"));
    EXPECT_FALSE(allows(list, "a.test:8443"));
    EXPECT_FALSE(allows(list, "x.b.test:8443"));
    EXPECT_TRUE(allows(list, "a.test:80", Scheme::http));
    EXPECT_FALSE(allows(list, "a.test:443", Scheme::http));
    EXPECT_FALSE(allows(list, "a.test:8080", Scheme::http));
}

TEST(Policy, EntryWithPortMeansExactlyThatPort) {
    constexpr auto list = R"({"allowlist": ["a.test:8443", "*.b.test:9000", "*:7000", "a.test:8444"]})";
    EXPECT_TRUE(allows(list, "a.test:8443"));
    EXPECT_TRUE(allows(list, "a.test:8444"));
    EXPECT_TRUE(allows(list, "a.test:8443", Scheme::http));
    EXPECT_FALSE(allows(list, "a.test:443"));
    EXPECT_TRUE(allows(list, "x.b.test:9000"));
    EXPECT_TRUE(allows(list, "anything.test:7000"));
    EXPECT_FALSE(allows(list, "192.0.2.1:7000"));
}

TEST(Policy, EntriesAreComparedInCanonicalSpelling) {
    EXPECT_TRUE(allows(R"({"allowlist": ["API.OpenAI.com."]})", "api.openai.com"));
    EXPECT_TRUE(allows(R"({"allowlist": ["bücher.example"]})", "xn--bcher-kva.example"));
    EXPECT_TRUE(allows(R"({"allowlist": ["*.Bücher.example"]})", "shop.xn--bcher-kva.example"));
}

TEST(Policy, EntryMayBeAnObjectWithAHost) {
    EXPECT_TRUE(allows(R"({"allowlist": [{"host": "a.test", "methods": null}]})", "a.test"));
    EXPECT_EQ(problem(R"({"allowlist": [{"host": "a.test", "port": 1}]})").pointer, "/allowlist/0/port");
    EXPECT_EQ(problem(R"({"allowlist": [{}]})").pointer, "/allowlist/0");
    EXPECT_EQ(problem(R"({"allowlist": [{"host": "127.1"}]})").pointer, "/allowlist/0/host");
}

TEST(Policy, BlocklistOverridesTheAllowlistOnEveryPort) {
    constexpr auto lists = R"({"allowlist": ["*", "*:8443"], "blocklist": ["*.evil.test", "bad.test:8443"]})";
    EXPECT_FALSE(allows(lists, "x.evil.test"));
    EXPECT_FALSE(allows(lists, "x.evil.test:8443"));
    EXPECT_TRUE(allows(lists, "evil.test"));
    EXPECT_TRUE(allows(lists, "bad.test"));
    EXPECT_FALSE(allows(lists, "bad.test:8443"));
    EXPECT_FALSE(allows(R"({"blocklist": ["api.test"]})", "api.test:9999", Scheme::http));
}

TEST(Policy, StarInTheBlocklistTakesAddressesToo) {
    EXPECT_FALSE(allows(R"({"allowlist": ["192.0.2.1"], "blocklist": ["*"]})", "192.0.2.1"));
    EXPECT_FALSE(allows(R"({"allowlist": ["192.0.2.1"], "blocklist": ["192.0.2.1"]})", "192.0.2.1"));
}

TEST(Policy, RefusesEntriesThatAreNoHosts) {
    for (const auto* entry : {"",
                              "*.com",
                              "*.",
                              "**",
                              "a*.test",
                              "*.*.example.com",
                              "a.test:0",
                              "a.test:65536",
                              "a.test:",
                              "a.test:https",
                              "https://a.test",
                              "a.test/path",
                              "127.1",
                              "0x7f.0.0.1",
                              "010.0.0.1",
                              "2130706433",
                              "::1",
                              "[::0001]",
                              "[::1",
                              "[::1]8443",
                              "*.127.0.0.1",
                              "a..test",
                              "a b.test"}) {
        const auto found = problem_of({{"allowlist", {"ok.test", entry}}});
        EXPECT_EQ(found.pointer, "/allowlist/1") << entry;
        EXPECT_EQ(problem_of({{"blocklist", {"ok.test", entry}}}).pointer, "/blocklist/1") << entry;
    }
    EXPECT_EQ(problem(R"({"allowlist": [7]})").pointer, "/allowlist/0");
    EXPECT_EQ(problem(R"({"allowlist": "a.test"})").pointer, "/allowlist");
    EXPECT_EQ(problem(R"({"allowlist": [null]})").pointer, "/allowlist/0");
}

TEST(Policy, RepeatedEntriesAreFineAndTooManyAreNot) {
    EXPECT_TRUE(allows(R"({"allowlist": ["a.test", "a.test", "a.test:443"]})", "a.test"));
    EXPECT_EQ(problem_of({{"allowlist", std::vector<std::string>(10'000, "a.test")}}).pointer, "(accepted)");
    EXPECT_EQ(problem_of({{"allowlist", std::vector<std::string>(10'001, "a.test")}}).pointer, "/allowlist");
}

TEST(Policy, RequiresAnAllowlistWhereTheConfigurationSaysSo) {
    const ParseOptions options{.require_allowlist = true};
    EXPECT_EQ(problem_of(json::object(), options).pointer, "/allowlist");
    EXPECT_EQ(problem_of({{"allowlist", nullptr}}, options).pointer, "/allowlist");
    EXPECT_EQ(problem_of({{"allowlist", json::array()}}, options).pointer, "(accepted)");
}

TEST(Policy, AmountsAreDecimalStrings) {
    const auto p = policy(R"({"dailyCap": "5.00", "totalCap": "0", "maxPerRequest": "0.000000001"})");
    EXPECT_EQ(p->daily_cap(), Usdc::from_nanos(5'000'000'000));
    EXPECT_EQ(p->total_cap(), Usdc{});
    EXPECT_EQ(p->max_per_request(), Usdc::from_nanos(1));
    for (const auto* amount :
         {"", "-1", "+1", "1.", ".5", "01", "1e3", "0.0000000001", "9223372037", " 1", "1,5", "NaN"}) {
        EXPECT_EQ(problem_of({{"dailyCap", amount}}).pointer, "/dailyCap") << amount;
    }
    EXPECT_NE(problem(R"({"totalCap": 5})").message.find("string"), std::string::npos);
    EXPECT_NE(problem(R"({"maxPerRequest": 0.5})").message.find("string"), std::string::npos);
    EXPECT_EQ(problem(R"({"maxPerRequest": {}})").pointer, "/maxPerRequest");
}

TEST(Policy, RefusesWhatItDoesNotEnforceByName) {
    for (const auto* member : {"windowCap", "rateLimit", "requireBinding"}) {
        const auto found = problem_of({{member, true}});
        EXPECT_EQ(found.pointer, std::string("/") + member);
        EXPECT_NE(found.message.find("not enforced"), std::string::npos) << found.message;
    }
    for (const auto* member : {"_computed", "version", "id", "createdAt", "createdBy", "reason"}) {
        EXPECT_NE(problem_of({{member, 1}}).message.find("set by the gateway"), std::string::npos) << member;
    }
}

TEST(Policy, RefusesUnknownMembersWithAHint) {
    const auto hint = [](const char* member) { return problem_of({{member, "1"}}).message; };
    EXPECT_NE(hint("daily_cap").find("`dailyCap`"), std::string::npos);
    EXPECT_NE(hint("max_per_request").find("`maxPerRequest`"), std::string::npos);
    EXPECT_NE(hint("alowlist").find("`allowlist`"), std::string::npos);
    EXPECT_EQ(hint("colour").find("did you mean"), std::string::npos);
    EXPECT_EQ(problem_of({{"a/b~c", nullptr}}).pointer, "/a~1b~0c") << "null hides no unknown member";
    EXPECT_EQ(problem("[]").pointer, "");
    EXPECT_EQ(problem("null").message, "a policy is an object");
}

TEST(Policy, HintsAreBoundedAndValidUtf8) {
    std::string name;
    for (int i = 0; i < 1000; ++i)
        name += "ü";
    const auto message = problem_of({{name, 1}}).message;
    EXPECT_LT(message.size(), 200U);
    EXPECT_NO_THROW((void)json(message).dump());
}

TEST(Policy, FrozenRefusesBeforeEverythingElse) {
    const auto frozen = policy(R"({"frozen": true, "allowlist": [], "activeUntil": "2020-01-01T00:00:00Z"})");
    EXPECT_TRUE(frozen->frozen());
    EXPECT_EQ(decision(*frozen, to("example.com")), "agent_frozen");
    EXPECT_EQ(problem(R"({"frozen": "true"})").pointer, "/frozen");
    EXPECT_EQ(problem(R"({"frozen": 1})").pointer, "/frozen");
}

TEST(Policy, TimesRefuseBeforeTheLists) {
    EXPECT_EQ(decision(*policy(R"({"activeUntil": "2020-01-01T00:00:00Z", "allowlist": []})"), to("a.test")),
              "policy_inactive");
}

TEST(Policy, IsActiveFromItsStartUpToButNotIncludingItsEnd) {
    const auto p =
        policy(R"({"activeFrom": "2026-05-24T12:00:00Z", "activeUntil": "2026-05-24T15:00:00+02:00"})");
    EXPECT_EQ(decision(*p, to("a.test"), at("2026-05-24T11:59:59.999Z")), "policy_inactive");
    EXPECT_EQ(decision(*p, to("a.test"), at("2026-05-24T12:00:00Z")), "go on");
    EXPECT_EQ(decision(*p, to("a.test"), at("2026-05-24T12:59:59.999Z")), "go on");
    EXPECT_EQ(decision(*p, to("a.test"), at("2026-05-24T13:00:00Z")), "policy_inactive");
}

TEST(Policy, RefusesTimesThatNeverComeOrAreNone) {
    EXPECT_EQ(
        problem(R"({"activeFrom": "2026-05-24T12:00:00Z", "activeUntil": "2026-05-24T12:00:00Z"})").pointer,
        "/activeUntil");
    EXPECT_EQ(problem(R"({"activeFrom": "2026-05-24"})").pointer, "/activeFrom");
    EXPECT_EQ(problem(R"({"activeUntil": "2026-02-30T00:00:00Z"})").pointer, "/activeUntil");
    EXPECT_EQ(problem(R"({"activeFrom": 1})").pointer, "/activeFrom");
}

std::string in_hours(const char* hours, std::string_view now) {
    const auto p = policy((std::string(R"({"activeHours": )") + hours + '}').c_str());
    return decision(*p, to("a.test"), at(now));
}

TEST(ActiveHours, AreHalfOpen) {
    constexpr auto office = R"({"timezone": "UTC", "from": "09:00", "to": "17:30"})";
    EXPECT_EQ(in_hours(office, "2026-05-24T08:59:59.999Z"), "policy_inactive");
    EXPECT_EQ(in_hours(office, "2026-05-24T09:00:00Z"), "go on");
    EXPECT_EQ(in_hours(office, "2026-05-24T17:29:59.999Z"), "go on");
    EXPECT_EQ(in_hours(office, "2026-05-24T17:30:00Z"), "policy_inactive");
}

TEST(ActiveHours, MayGoPastMidnight) {
    constexpr auto night = R"({"timezone": "UTC", "from": "22:00", "to": "06:00"})";
    EXPECT_EQ(in_hours(night, "2026-05-24T21:59:00Z"), "policy_inactive");
    EXPECT_EQ(in_hours(night, "2026-05-24T22:00:00Z"), "go on");
    EXPECT_EQ(in_hours(night, "2026-05-25T00:00:00Z"), "go on");
    EXPECT_EQ(in_hours(night, "2026-05-25T05:59:59Z"), "go on");
    EXPECT_EQ(in_hours(night, "2026-05-25T06:00:00Z"), "policy_inactive");
}

TEST(ActiveHours, MayLastTheWholeDayOrUpToMidnight) {
    EXPECT_EQ(in_hours(R"({"timezone": "UTC", "from": "00:00", "to": "24:00"})", "2026-05-24T23:59:59.999Z"),
              "go on");
    EXPECT_EQ(in_hours(R"({"timezone": "UTC", "from": "18:00", "to": "24:00"})", "2026-05-24T23:59:59Z"),
              "go on");
    EXPECT_EQ(in_hours(R"({"timezone": "UTC", "from": "18:00", "to": "24:00"})", "2026-05-25T00:00:00Z"),
              "policy_inactive");
    EXPECT_EQ(in_hours(R"({"timezone": "UTC", "from": "18:00", "to": "00:00"})", "2026-05-25T00:00:00Z"),
              "policy_inactive");
}

TEST(ActiveHours, FollowTheZonesSummerTime) {
    constexpr auto berlin = R"({"timezone": "Europe/Berlin", "from": "09:00", "to": "17:00"})";
    EXPECT_EQ(in_hours(berlin, "2026-07-01T07:00:00Z"), "go on") << "09:00 in summer is 07:00 UTC";
    EXPECT_EQ(in_hours(berlin, "2026-07-01T15:00:00Z"), "policy_inactive");
    EXPECT_EQ(in_hours(berlin, "2026-01-15T07:30:00Z"), "policy_inactive") << "08:30 in winter";
    EXPECT_EQ(in_hours(berlin, "2026-01-15T15:59:00Z"), "go on");
    // The hour that is skipped on 2026-03-29 (02:00 to 03:00) and the one that comes twice on 2026-10-25.
    constexpr auto early = R"({"timezone": "Europe/Berlin", "from": "02:00", "to": "03:00"})";
    EXPECT_EQ(in_hours(early, "2026-03-29T01:00:00Z"), "policy_inactive");
    EXPECT_EQ(in_hours(early, "2026-10-25T00:30:00Z"), "go on");
    EXPECT_EQ(in_hours(early, "2026-10-25T01:30:00Z"), "go on");
    EXPECT_EQ(
        in_hours(R"({"timezone": "Asia/Kathmandu", "from": "05:45", "to": "06:00"})", "2026-05-24T00:00:00Z"),
        "go on");
}

TEST(ActiveHours, RefusesWhatIsWrongWithItsPlace) {
    const auto place = [](const char* hours) {
        return problem((std::string(R"({"activeHours": )") + hours + '}').c_str()).pointer;
    };
    EXPECT_EQ(place("7"), "/activeHours");
    EXPECT_EQ(place(R"({"from": "09:00", "to": "17:00"})"), "/activeHours");
    EXPECT_EQ(place(R"({"timezone": "Mars/Base", "from": "09:00", "to": "17:00"})"), "/activeHours/timezone");
    EXPECT_EQ(place(R"({"timezone": "../../etc/passwd", "from": "09:00", "to": "17:00"})"),
              "/activeHours/timezone");
    EXPECT_EQ(place(R"({"timezone": "", "from": "09:00", "to": "17:00"})"), "/activeHours/timezone");
    EXPECT_EQ(place(R"({"timezone": 1, "from": "09:00", "to": "17:00"})"), "/activeHours/timezone");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "9:00", "to": "17:00"})"), "/activeHours/from");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "24:00", "to": "17:00"})"), "/activeHours/from");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "09:00", "to": "24:01"})"), "/activeHours/to");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "09:00", "to": "12:60"})"), "/activeHours/to");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "09:00", "to": "09:00"})"), "/activeHours/to");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": "09:00", "to": "17:00", "days": []})"),
              "/activeHours/days");
    EXPECT_EQ(place(R"({"timezone": "UTC", "from": null, "to": "17:00"})"), "/activeHours/from");
}

TEST(Merge, ReplacesWhatIsThereAndRemovesWhatIsNull) {
    const auto current =
        json::parse(R"({"dailyCap": "5.00", "totalCap": "9", "allowlist": ["a.test", "b.test"]})");
    EXPECT_EQ(
        merge(current, json::parse(R"({"dailyCap": "6.0", "totalCap": null, "allowlist": ["c.test"]})")),
        json::parse(R"({"dailyCap": "6.0", "allowlist": ["c.test"]})"));
    EXPECT_EQ(merge(current, json::object()), current);
    EXPECT_EQ(merge(json(), json::parse(R"({"frozen": true, "totalCap": null})")),
              json::parse(R"({"frozen": true})"));
}

TEST(Merge, ReplacesNestedMembersAsAWhole) {
    const auto current =
        json::parse(R"({"activeHours": {"timezone": "UTC", "from": "09:00", "to": "17:00"}})");
    EXPECT_EQ(merge(current, json::parse(R"({"activeHours": {"to": "18:00"}})")),
              json::parse(R"({"activeHours": {"to": "18:00"}})"));
}

TEST(Merge, LeavesWhatIsNoObjectToTheParser) {
    EXPECT_FALSE(Policy::parse(merge(json::object(), json::parse("[1]"))));
    EXPECT_FALSE(Policy::parse(merge(json::object(), json())));
}

TEST(Policy, LongListsCostNoMoreThanShortOnes) {
    json list = json::array();
    for (int i = 0; i < 5000; ++i) {
        list.push_back("h" + std::to_string(i) + ".example.com");
        list.push_back("*.s" + std::to_string(i) + ".example.com");
    }
    const auto p = Policy::parse({{"allowlist", list}}).value();
    const auto request = to("a.b.s4999.example.com");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50'000; ++i)
        ASSERT_FALSE(p->decide(request, noon));
    // A scan of 10,000 entries would take seconds.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

}  // namespace
}  // namespace nomiqon::policy
