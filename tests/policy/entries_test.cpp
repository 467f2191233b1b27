// Entries with methods, paths and models.

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "nomiqon/policy/policy.h"

namespace nomiqon::policy {
namespace {

using nlohmann::json;

std::shared_ptr<const Policy> policy(const json& document) {
    auto parsed = Policy::parse(document);
    if (!parsed) throw std::invalid_argument(parsed.error().pointer + ": " + parsed.error().message);
    return *parsed;
}

std::shared_ptr<const Policy> allowing(const char* entries) {
    return policy({{"allowlist", json::parse(entries)}});
}
/// Allows every host but for what `entries` block.
std::shared_ptr<const Policy> blocking(const char* entries) {
    return policy({{"blocklist", json::parse(entries)}});
}

struct Ask {
    std::string_view method = "POST";
    std::string_view path = "/v1/chat/completions";
    std::string_view model{};
    bool model_due = false;
    std::string_view host = "api.test";
    std::uint16_t port = 443;
};

std::string answer(const Policy& policy, const Ask& ask) {
    const auto host = HostName::parse(ask.host);
    if (!host) throw std::invalid_argument(std::string(ask.host));
    const auto refusal = policy.decide({.scheme = Scheme::https,
                                        .host = *host,
                                        .port = ask.port,
                                        .method = ask.method,
                                        .path = ask.path,
                                        .model = ask.model,
                                        .model_due = ask.model_due},
                                       parse_time("2026-05-24T12:00:00Z").value());
    return refusal ? std::string(info(*refusal).name) : "go on";
}

std::string answer_to_path(const Policy& policy, std::string_view path) {
    return answer(policy, {.path = path});
}

PolicyProblem problem(const char* entry) {
    const auto parsed = Policy::parse({{"allowlist", {"ok.test", json::parse(entry)}}});
    return parsed ? PolicyProblem{"(accepted)", ""} : parsed.error();
}

TEST(Entries, PermitWhatAllOfTheirConditionsPermit) {
    const auto p = allowing(R"([{"host": "api.test", "methods": ["POST"],
        "paths": ["/v1/chat/completions", "/v1/files/*"], "models": ["gpt-4o", "gpt-4o-mini*"]}])");
    EXPECT_EQ(answer(*p, {.model = "gpt-4o"}), "go on");
    EXPECT_EQ(answer(*p, {.model = "gpt-4o-mini-2024-07-18"}), "go on");
    EXPECT_EQ(answer(*p, {.path = "/v1/files/a/content", .model = "gpt-4o"}), "go on");
    EXPECT_EQ(answer(*p, {.method = "GET", .model = "gpt-4o"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.path = "/v1/files", .model = "gpt-4o"}), "policy_domain_blocked");
    EXPECT_EQ(answer(*p, {.path = "/v1/chat/completions/x", .model = "gpt-4o"}), "policy_domain_blocked");
    EXPECT_EQ(answer(*p, {.model = "gpt-4o-2024-05-13"}), "policy_model_blocked");
    EXPECT_EQ(answer(*p, {.model = "GPT-4o"}), "policy_model_blocked");
    EXPECT_EQ(answer(*p, {.model = "gpt-4o", .host = "other.test"}), "policy_domain_blocked");
    EXPECT_EQ(answer(*p, {.model = "gpt-4o", .port = 8443}), "policy_domain_blocked");
}

TEST(Entries, NameMethodsInTheirOwnCaseAndNoOther) {
    const auto p = allowing(R"([{"host": "api.test", "methods": ["GET"]}])");
    EXPECT_EQ(answer(*p, {.method = "GET"}), "go on");
    EXPECT_EQ(answer(*p, {.method = "get"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.method = "HEAD"}), "policy_method_blocked");
}

TEST(Entries, SeveralForOneHostAreAlternatives) {
    const auto p = allowing(R"([{"host": "api.test", "methods": ["GET"], "paths": ["/v1/models"]},
                                {"host": "api.test", "methods": ["POST"], "paths": ["/v1/chat/completions"]},
                                {"host": "*.test.example", "methods": ["DELETE"]}, "full.test.example"])");
    EXPECT_EQ(answer(*p, {.method = "GET", .path = "/v1/models"}), "go on");
    EXPECT_EQ(answer(*p, {}), "go on");
    EXPECT_EQ(answer(*p, {.method = "POST", .path = "/v1/models"}), "policy_domain_blocked")
        << "conditions of two entries don't mix";
    EXPECT_EQ(answer(*p, {.method = "PUT"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.host = "full.test.example"}), "go on") << "the host alone permits everything";
    EXPECT_EQ(answer(*p, {.host = "x.test.example"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.method = "DELETE", .host = "x.test.example"}), "go on");
}

TEST(Entries, RefusalNamesWhatStoppedTheRequestAtItsFurthest) {
    const auto p = allowing(R"([{"host": "api.test", "methods": ["GET"]},
                                {"host": "api.test", "paths": ["/a"], "models": ["m"]}])");
    EXPECT_EQ(answer(*p, {.path = "/b"}), "policy_domain_blocked");
    EXPECT_EQ(answer(*p, {.path = "/a", .model = "n"}), "policy_model_blocked");
}

TEST(Entries, AreBoundToTheirPort) {
    const auto p = allowing(R"([{"host": "api.test:8443", "methods": ["GET"]}])");
    EXPECT_EQ(answer(*p, {.method = "GET", .port = 8443}), "go on");
    EXPECT_EQ(answer(*p, {.method = "GET"}), "policy_domain_blocked");
}

TEST(Entries, WithConditionsNeverPermitATunnel) {
    const Ask tunnel{.method = "CONNECT", .path = ""};
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "methods": ["GET", "POST"]}])"), tunnel),
              "policy_method_blocked");
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "paths": ["/*"]}])"), tunnel),
              "policy_domain_blocked");
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "models": ["*"]}])"), tunnel),
              "policy_domain_blocked");
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "paths": ["/*"]}, "api.test"])"), tunnel), "go on");
}

TEST(Entries, ModelIsJudgedOnceItIsKnown) {
    const auto p = allowing(R"([{"host": "api.test", "models": ["m1"]}])");
    EXPECT_EQ(answer(*p, {}), "go on") << "not known yet";
    EXPECT_EQ(answer(*p, {.model = "m1", .model_due = true}), "go on");
    EXPECT_EQ(answer(*p, {.model = "m2", .model_due = true}), "policy_model_blocked");
}

TEST(Entries, WithModelsPermitNoSpendThatNamesNone) {
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "models": ["*"]}])"), {.model_due = true}),
              "policy_model_blocked");
    EXPECT_EQ(answer(*allowing(R"([{"host": "api.test", "methods": ["POST"]}])"), {.model_due = true}),
              "go on");
    EXPECT_EQ(answer(*blocking(R"([{"host": "api.test", "models": ["m"]}])"), {.model_due = true}),
              "policy_model_blocked");
}

// Hostile paths
// ---------------------------------------------------------------------------------------------------------

TEST(EntryPaths, AreComparedInOneSpelling) {
    const auto p =
        allowing(R"([{"host": "api.test", "paths": ["/v1/files/*", "/caf%c3%a9/%7Eme", "/größe"]}])");
    for (const auto* path :
         {"/v1/files/", "/v1/files/x", "/v1/%66iles/x", "/%76%31/files/%41", "/v1/files/x/y/",
          "/caf%C3%A9/~me", "/gr%C3%B6%c3%9fe", "/v1/files/...", "/v1/files/.hidden", "/v1/files/a%20b%3A"}) {
        EXPECT_EQ(answer_to_path(*p, path), "go on") << path;
    }
    for (const auto* path : {"/v1/files", "/V1/files/x", "/v1/filesx", "/v1", "/", "*", "v1/files/x"}) {
        EXPECT_EQ(answer_to_path(*p, path), "policy_domain_blocked") << path;
    }
}

constexpr const char* ambiguous_paths[] = {
    "/v1/files/../admin",
    "/v1/files/%2e%2e/admin",
    "/v1/files/%2E./admin",
    "/v1/files/.%2e",
    "/v1/files/..",
    "/v1/files/.",
    "/v1/files/./x",
    "/v1/files/..;/admin",
    "/v1/files/..%3B/admin",
    "/v1/files/x;y=..",
    "/v1/files/..\\admin",
    "/v1/files/..%5cadmin",
    "/v1/files/..%2fadmin",
    "/v1/files/x%2Fy",
    "/v1/files/%252e%252e/admin",
    "/v1/files/x%25",
    "/v1/files//admin",
    "//v1/files/x",
    "/v1//files/x",
    "/v1/files/%00",
    "/v1/files/x%0d%0aX-Evil:1",
    "/v1/files/%7f",
    "/v1/files/x%3Fa",
    "/v1/files/x%23a",
    "/v1/files/%",
    "/v1/files/%2",
    "/v1/files/%zz",
    "/v1/files/%u002e",
    "/v1/files/%c0%ae%c0%ae/admin",
    "/v1/files/%e0%80%ae",
    "/v1/files/%ff",
    "/v1/files/%c3",
};

TEST(EntryPaths, ThatCouldBeReadInTwoWaysFitNoEntryOfAnAllowlist) {
    const auto p = allowing(R"([{"host": "api.test", "paths": ["/v1/files/*", "/*"]}])");
    for (const auto* path : ambiguous_paths)
        EXPECT_EQ(answer_to_path(*p, path), "policy_domain_blocked") << path;
}

TEST(EntryPaths, ThatCouldBeReadInTwoWaysFitEveryEntryOfABlocklist) {
    const auto p = blocking(R"([{"host": "api.test", "paths": ["/v1/admin/*"]}])");
    for (const auto* path : ambiguous_paths)
        EXPECT_EQ(answer_to_path(*p, path), "policy_domain_blocked") << path;
    EXPECT_EQ(answer_to_path(*p, "/v1/files/x"), "go on");
}

TEST(EntryPaths, OfABlocklistFitHoweverTheyAreSpelt) {
    const auto p =
        blocking(R"([{"host": "api.test", "paths": ["/v1/admin", "/v1/Keys/*", "/model/a:0/run"]}])");
    for (const auto* path : {"/v1/admin", "/v1/admin/", "/V1/ADMIN", "/v1/%61dmin", "/v1/keys/1", "/v1/keys/",
                             "/model/a%3A0/run", "/model/a%3a0/Run/"}) {
        EXPECT_EQ(answer_to_path(*p, path), "policy_domain_blocked") << path;
    }
    for (const auto* path : {"/v1/administrators", "/v1/admin/x", "/v1/keys", "/model/a/run"})
        EXPECT_EQ(answer_to_path(*p, path), "go on") << path;
}

// Blocklist
// ---------------------------------------------------------------------------------------------------------

TEST(BlocklistEntries, RefuseOnlyWhatFitsAllOfThem) {
    const auto p = policy(json::parse(R"({"allowlist": ["*"], "blocklist": [
        {"host": "api.test", "methods": ["DELETE"]},
        {"host": "api.test", "methods": ["POST"], "paths": ["/v1/batches"]},
        {"host": "api.test", "models": ["o1-pro*"]}]})"));
    EXPECT_EQ(answer(*p, {.method = "GET"}), "go on");
    EXPECT_EQ(answer(*p, {.method = "DELETE"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.method = "delete"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.path = "/v1/batches"}), "policy_method_blocked");
    EXPECT_EQ(answer(*p, {.method = "GET", .path = "/v1/batches"}), "go on");
    EXPECT_EQ(answer(*p, {.model = "o1-pro-2025"}), "policy_model_blocked");
    EXPECT_EQ(answer(*p, {.model = "o1"}), "go on");
    EXPECT_EQ(answer(*p, {.method = "DELETE", .host = "other.test"}), "go on");
}

TEST(BlocklistEntries, RefuseTunnelsThatCouldCarryWhatTheyName) {
    const Ask tunnel{.method = "CONNECT", .path = ""};
    EXPECT_EQ(answer(*blocking(R"([{"host": "api.test", "methods": ["DELETE"]}])"), tunnel),
              "policy_method_blocked");
    EXPECT_EQ(answer(*blocking(R"([{"host": "api.test", "models": ["m"]}])"), tunnel),
              "policy_domain_blocked");
    EXPECT_EQ(answer(*blocking(R"([{"host": "api.test:1", "methods": ["DELETE"]}])"), tunnel), "go on");
}

// Reading
// ---------------------------------------------------------------------------------------------------------

TEST(EntryMembers, MayBeNullOrMissing) {
    EXPECT_EQ(problem(R"({"host": "a.test", "methods": null, "paths": null, "models": null})").pointer,
              "(accepted)");
    EXPECT_EQ(
        answer(*allowing(R"([{"host": "api.test", "methods": null}])"), {.method = "CONNECT", .path = ""}),
        "go on");
}

TEST(EntryMembers, AreRefusedWithTheirPlace) {
    const auto place = [](const std::string& members) {
        return problem((R"({"host": "a.test", )" + members + "}").c_str()).pointer;
    };
    EXPECT_EQ(problem("{}").pointer, "/allowlist/1");
    EXPECT_EQ(problem(R"({"host": "127.1"})").pointer, "/allowlist/1/host");
    EXPECT_EQ(problem(R"({"host": null})").pointer, "/allowlist/1/host");
    EXPECT_EQ(place(R"("port": 1)"), "/allowlist/1/port");
    EXPECT_EQ(place(R"("a/b": null)"), "/allowlist/1/a~1b");
    for (const auto* member : {"methods", "paths", "models"}) {
        const auto at = std::string("/allowlist/1/") + member;
        const auto with = [&](const char* value) {
            return place('"' + std::string(member) + "\": " + value);
        };
        EXPECT_EQ(with("[]"), at);
        EXPECT_EQ(with("\"x\""), at);
        EXPECT_EQ(with("{}"), at);
        EXPECT_EQ(with("[7]"), at + "/0");
        EXPECT_EQ(with("[null]"), at + "/0");
        EXPECT_EQ(with("[\"\"]"), at + "/0");
        EXPECT_EQ(with(json(json::array({std::string(2049, 'A')})).dump().c_str()), at + "/0");
        EXPECT_EQ(with(json(std::vector<std::string>(1001, "A")).dump().c_str()), at);
    }
    EXPECT_EQ(problem(R"({"host": "a.test", "method": ["GET"]})").message,
              "unknown member `method`; did you mean `methods`?");
}

TEST(EntryMembers, MethodsAreUpperCase) {
    for (const auto* method : {"post", "Post", "GET ", "G:T", "*", "CONNECT"}) {
        EXPECT_EQ(problem(json({{"host", "a.test"}, {"methods", {"GET", method}}}).dump().c_str()).pointer,
                  "/allowlist/1/methods/1")
            << method;
    }
}

TEST(EntryMembers, PathsAreThoseThatHaveOneReading) {
    for (const auto* path : {"v1", "*", "/a*b", "/a/**", "/a?b", "/a#b", "/../a", "/a/..", "/a/./b", "/a//b",
                             "/a;b", "/a%2Fb", "/a%", "/a%25", "/a\\b", "/a\tb", "https://a.test/v1"}) {
        EXPECT_EQ(problem(json({{"host", "a.test"}, {"paths", {"/ok", path}}}).dump().c_str()).pointer,
                  "/allowlist/1/paths/1")
            << path;
    }
    for (const auto* path :
         {"/", "/*", "/a/", "/a*", "/a/*", "/.well-known/*", "/a.b/..c", "/v1/models/m:run"}) {
        EXPECT_EQ(problem(json({{"host", "a.test"}, {"paths", {path}}}).dump().c_str()).pointer, "(accepted)")
            << path;
    }
}

TEST(EntryMembers, ModelsEndWithAStarAtMost) {
    for (const auto* model : {"gpt*4", "**", "gpt 4", "gpt\n", "größe"}) {
        EXPECT_EQ(problem(json({{"host", "a.test"}, {"models", {"ok", model}}}).dump().c_str()).pointer,
                  "/allowlist/1/models/1")
            << model;
    }
}

TEST(EntryMembers, OneHostHasABoundedNumberOfConditions) {
    json list = json::array();
    for (int i = 0; i < 65; ++i)
        list.push_back({{"host", "a.test"}, {"methods", {"GET"}}});
    const auto parsed = Policy::parse({{"allowlist", list}});
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().pointer, "/allowlist/64");
    list.erase(64);
    list.push_back("a.test");
    EXPECT_TRUE(Policy::parse({{"allowlist", list}}));
}

// Against a slow matcher that follows the documentation word by word
// ---------------------------------------------------------------------------------------------------------

bool fits_pattern(const std::string& pattern, std::string_view text) {
    if (pattern.ends_with('*'))
        return text.substr(0, pattern.size() - 1) == pattern.substr(0, pattern.size() - 1);
    return text == pattern;
}

bool fits_any(const json& entry, const char* member, std::string_view text) {
    if (!entry.contains(member)) return true;
    for (const auto& pattern : entry.at(member)) {
        if (fits_pattern(pattern.get<std::string>(), text)) return true;
    }
    return false;
}

bool fits_host(const std::string& pattern, const std::string& host) {
    if (pattern == "*") return true;
    if (pattern.starts_with("*.")) return host.ends_with(pattern.substr(1)) && host.size() >= pattern.size();
    return pattern == host;
}

std::string slow_answer(const json& allowlist, const Ask& ask) {
    int furthest = -1;
    for (const auto& entry : allowlist) {
        if (!fits_host(entry.at("host"), std::string(ask.host))) continue;
        int reach = 0;
        const bool method = fits_any(entry, "methods", ask.method);
        const bool path = fits_any(entry, "paths", ask.path);
        const bool model = ask.model.empty() || fits_any(entry, "models", ask.model);
        if (method) reach = 1;
        if (method && path) reach = 2;
        if (method && path && model) reach = 3;
        furthest = std::max(furthest, reach);
    }
    constexpr const char* answers[] = {"policy_domain_blocked", "policy_method_blocked",
                                       "policy_domain_blocked", "policy_model_blocked", "go on"};
    return answers[furthest + 1];
}

class Dice {
  public:
    explicit Dice(unsigned seed) : engine_(seed) {}
    std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(engine_); }
    /// Few letters, so that beginnings of one another are common.
    std::string text(std::string_view letters, std::size_t longest) {
        std::string result;
        for (auto n = below(longest + 1); n > 0; --n)
            result += letters[below(letters.size())];
        return result;
    }
    std::string path() { return '/' + text("ab", 4); }
    std::string model() { return 'm' + text("ab", 4); }
    std::string method() { return std::array{"GET", "POST", "PUT"}[below(3)]; }
    std::string host() { return std::array{"x.test", "a.x.test", "b.a.x.test", "y.test"}[below(4)]; }
    std::string host_pattern() {
        return std::array{"x.test", "a.x.test", "*.x.test", "*.a.x.test", "*", "y.test"}[below(6)];
    }
    template <typename Make>
    void maybe_add(json& entry, const char* member, const Make& make, bool stars) {
        if (below(2) == 0) return;
        json list = json::array();
        for (auto n = below(4) + 1; n > 0; --n) {
            std::string text = make();
            if (stars && below(2) == 0) text += '*';
            list.push_back(text);
        }
        entry[member] = list;
    }
    json entry() {
        json result{{"host", host_pattern()}};
        maybe_add(result, "methods", [&] { return method(); }, false);
        maybe_add(result, "paths", [&] { return path(); }, true);
        maybe_add(result, "models", [&] { return model(); }, true);
        return result;
    }

  private:
    std::mt19937 engine_;
};

TEST(Entries, AnswerAsASlowMatcherDoes) {
    int allowed = 0;
    for (unsigned seed = 0; seed < 400; ++seed) {
        Dice dice(seed);
        json list = json::array();
        for (auto n = dice.below(6) + 1; n > 0; --n)
            list.push_back(dice.entry());
        const auto p = policy({{"allowlist", list}});
        for (int i = 0; i < 100; ++i) {
            const auto method = dice.method();
            const auto path = dice.path();
            const auto model = dice.below(4) == 0 ? std::string() : dice.model();
            const auto host = dice.host();
            const Ask ask{.method = method, .path = path, .model = model, .host = host};
            const auto expected = slow_answer(list, ask);
            ASSERT_EQ(answer(*p, ask), expected) << "seed " << seed << ": " << method << ' ' << host << path
                                                 << " model " << model << " by " << list;
            if (expected == "go on") ++allowed;
        }
    }
    EXPECT_GT(allowed, 5000);
    EXPECT_LT(allowed, 35'000);
}

TEST(Entries, LongListsCostNoMoreThanShortOnes) {
    json list = json::array();
    for (int i = 0; i < 9'000; ++i) {
        list.push_back({{"host", "h" + std::to_string(i) + ".example.com"}, {"methods", {"GET"}}});
    }
    json paths = json::array();
    for (int i = 0; i < 1'000; ++i)
        paths.push_back("/v1/" + std::to_string(i) + "/*");
    list.push_back({{"host", "api.test"}, {"paths", paths}});
    const auto p = policy({{"allowlist", list}});
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20'000; ++i)
        ASSERT_EQ(answer(*p, {.path = "/v1/777/x"}), "go on");
    // A scan of the paths alone would take seconds.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

}  // namespace
}  // namespace nomiqon::policy
