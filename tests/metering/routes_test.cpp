#include "nomiqon/metering/routes.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>

namespace nomiqon::metering {
namespace {

HostName host(std::string_view text) {
    auto parsed = HostName::parse(text);
    if (!parsed) throw std::invalid_argument(std::string(text) + ": " + parsed.error());
    return *parsed;
}

Usdc usdc(std::string_view text) {
    return Usdc::parse(text).value();
}

Route tunnel(std::string pattern, std::string_view price) {
    return {.host = std::move(pattern), .price = RoutePrice{.per_connection = usdc(price)}};
}

/// The price, or the refusal's name.
std::string shown(const std::expected<Usdc, RefusalCode>& price) {
    return price ? price->to_string() : std::string(info(price.error()).name);
}

TEST(RouteTable, UnroutedHostIsATunnelAtAThousandth) {
    const RouteTable table({});
    EXPECT_EQ(shown(table.price_of_tunnel(host("example.com"), 443)), "0.001000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("192.0.2.1"), 443)), "0.001000");
    EXPECT_EQ(shown(table.price_of_plain_request(host("example.com"), 80)), "0.001000");
}

TEST(RouteTable, PackageRegistriesAndGitHubAreFree) {
    const RouteTable table({});
    for (const auto* name :
         {"pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "index.crates.io", "proxy.golang.org",
          "repo1.maven.org", "deb.debian.org", "rubygems.org", "github.com", "raw.githubusercontent.com"}) {
        EXPECT_EQ(shown(table.price_of_tunnel(host(name), 443)), "0.000000") << name;
        EXPECT_EQ(shown(table.price_of_plain_request(host(name), 80)), "0.000000") << name;
    }
    EXPECT_EQ(shown(table.price_of_tunnel(host("github.com.evil.example"), 443)), "0.001000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("evilgithub.com"), 443)), "0.001000");
}

TEST(RouteTable, FirstConfiguredRouteThatMatchesWins) {
    const RouteTable table({tunnel("*.example.com", "0.2"), tunnel("a.example.com", "0.3"),
                            tunnel("*", "0.4"), tunnel("b.test", "0.5")});
    EXPECT_EQ(shown(table.price_of_tunnel(host("a.example.com"), 443)), "0.200000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("x.a.example.com"), 443)), "0.200000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("example.com"), 443)), "0.400000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("b.test"), 443)), "0.400000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("evilexample.com"), 443)), "0.400000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("github.com"), 443)), "0.400000")
        << "a configured route goes first";
}

TEST(RouteTable, StarTakesAddressesAndSuffixesDoNot) {
    const RouteTable table({tunnel("*.com", "0.2"), tunnel("*", "0.4"), tunnel("[2001:db8::1]", "0.5")});
    EXPECT_EQ(shown(table.price_of_tunnel(host("192.0.2.1"), 443)), "0.400000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("[2001:db8::1]"), 443)), "0.400000") << "the star comes first";
    const RouteTable address({tunnel("[2001:db8::1]", "0.5"), tunnel("*", "0.4")});
    EXPECT_EQ(shown(address.price_of_tunnel(host("[2001:db8::1]"), 443)), "0.500000");
}

TEST(RouteTable, PortLimitsARoute) {
    auto limited = tunnel("a.test", "0.2");
    limited.port = 8443;
    const RouteTable table({limited, tunnel("a.test", "0.3")});
    EXPECT_EQ(shown(table.price_of_tunnel(host("a.test"), 8443)), "0.200000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("a.test"), 443)), "0.300000");
}

TEST(PaidHosts, AreFoundUnderAllTheirNames) {
    for (const auto* name : {"api.openai.com",
                             "eu.api.openai.com",
                             "api.anthropic.com",
                             "my-resource.openai.azure.com",
                             "x.cognitiveservices.azure.com",
                             "bedrock-runtime.us-east-1.amazonaws.com",
                             "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
                             "bedrock.eu-west-1.amazonaws.com",
                             "vpce-0a1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
                             "bedrock-runtime.cn-north-1.amazonaws.com.cn",
                             "bedrock-mantle.us-east-1.api.aws",
                             "aiplatform.googleapis.com",
                             "us-central1-aiplatform.googleapis.com",
                             "aiplatform.eu.rep.googleapis.com",
                             "generativelanguage.googleapis.com",
                             "index-abc.svc.pinecone.io",
                             "api.mistral.ai",
                             "api.groq.com",
                             "api.deepseek.com",
                             "api.together.xyz",
                             "api.together.ai",
                             "openrouter.ai",
                             "api.cohere.com",
                             "api.x.ai",
                             "eu-west-1.api.x.ai",
                             "api.perplexity.ai",
                             "api.tavily.com",
                             "api.search.brave.com",
                             "api.bing.microsoft.com",
                             "serpapi.com",
                             "api.replicate.com",
                             "api.fireworks.ai",
                             "api.elevenlabs.io",
                             "api.stability.ai",
                             "api.voyageai.com",
                             "api.deepgram.com",
                             "api.assemblyai.com"}) {
        EXPECT_TRUE(is_known_paid_host(host(name))) << name;
        EXPECT_TRUE(is_known_paid_host(host(std::string(name) + '.'))) << name << " with a trailing dot";
    }
}

TEST(PaidHosts, AreNotFoundInNamesThatOnlyLookLikeThem) {
    for (const auto* name :
         {"evilopenai.com", "api.evilopenai.com", "api.openai.com.evil.com", "openai.com.evil.com",
          "openai.com", "api-openai.com", "bedrock.example.com", "bedrockamazonaws.com",
          "bedrock.evilamazonaws.com", "mybedrock.s3.amazonaws.com", "s3.us-east-1.amazonaws.com",
          "aiplatform.evilgoogleapis.com", "storage.googleapis.com", "aiplatform.googleapis.com.evil.com",
          "x.ai", "github.com", "192.0.2.1"}) {
        EXPECT_FALSE(is_known_paid_host(host(name))) << name;
    }
}

TEST(PaidHosts, AreNeverFreeAsWell) {
    const RouteTable table({});
    for (const auto* name : {"models.github.ai", "api.githubcopilot.com"}) {
        EXPECT_EQ(shown(table.price_of_tunnel(host(name), 443)), "price_unknown") << name;
    }
}

TEST(PaidHosts, ArePriceUnknownWhenNobodyRoutedThem) {
    const RouteTable table({});
    EXPECT_EQ(shown(table.price_of_tunnel(host("api.openai.com"), 443)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_tunnel(host("api.openai.com"), 8443)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_plain_request(host("api.openai.com"), 80)), "price_unknown");
}

TEST(PaidHosts, NeverFallThroughToAWildcardThatWasNotMeantForThem) {
    const RouteTable table({tunnel("*.com", "0.001"), tunnel("*.googleapis.com", "0.001"),
                            tunnel("*.amazonaws.com", "0.001"), tunnel("*.us-east-1.amazonaws.com", "0.001"),
                            tunnel("*.azure.com", "0.001"), tunnel("*.microsoft.com", "0.001"),
                            tunnel("*.ai", "0.001"), tunnel("*", "0.001")});
    for (const auto* name :
         {"api.openai.com", "us-central1-aiplatform.googleapis.com", "generativelanguage.googleapis.com",
          "bedrock-runtime.us-east-1.amazonaws.com", "x.openai.azure.com", "api.bing.microsoft.com",
          "api.mistral.ai", "openrouter.ai", "index.svc.pinecone.io"}) {
        EXPECT_EQ(shown(table.price_of_tunnel(host(name), 443)), "price_unknown") << name;
    }
    EXPECT_EQ(shown(table.price_of_tunnel(host("storage.googleapis.com"), 443)), "0.001000");
}

TEST(PaidHosts, TakeTheRouteThatNamesThem) {
    const RouteTable table({tunnel("*", "0.001"), tunnel("api.openai.com", "0.5"),
                            tunnel("*.openai.com", "0.6"), tunnel("*.mistral.ai", "0.7"),
                            tunnel("*.bedrock-runtime.us-east-1.vpce.amazonaws.com", "0.8"),
                            tunnel("*.svc.pinecone.io", "0.9")});
    EXPECT_EQ(shown(table.price_of_tunnel(host("api.openai.com"), 443)), "0.500000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("eu.api.openai.com"), 443)), "0.600000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("api.mistral.ai"), 443)), "0.700000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"), 443)),
              "0.800000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("i.svc.pinecone.io"), 443)), "0.900000");
    EXPECT_EQ(shown(table.price_of_plain_request(host("api.openai.com"), 80)), "price_unknown")
        << "a paid host is never reached in plain text";
}

TEST(PaidHosts, NamedWithoutAPriceStayUnknown) {
    const RouteTable table({Route{.host = "api.openai.com"}, Route{.host = "a.test"}});
    EXPECT_EQ(shown(table.price_of_tunnel(host("api.openai.com"), 443)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_tunnel(host("a.test"), 443)), "0.001000");
    EXPECT_EQ(shown(table.price_of_plain_request(host("a.test"), 80)), "0.001000");
}

TEST(Prices, OfATunnelComeFromTheConnectionOnly) {
    const RouteTable table(
        {Route{.host = "request.test", .price = RoutePrice{.per_request = usdc("0.008")}},
         Route{.host = "free.test", .price = RoutePrice{.free = true}},
         Route{.host = "zero.test", .price = RoutePrice{.per_connection = Usdc{}, .free = true}}});
    EXPECT_EQ(shown(table.price_of_tunnel(host("request.test"), 443)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_tunnel(host("free.test"), 443)), "0.000000");
    EXPECT_EQ(shown(table.price_of_tunnel(host("zero.test"), 443)), "0.000000");
}

TEST(Prices, OfAnInterceptedRouteAreUnknownUntilInterceptionIsBuilt) {
    const RouteTable table(
        {Route{.host = "a.test",
               .mode = RouteMode::intercept,
               .price = RoutePrice{.per_request = usdc("0.1"), .per_connection = usdc("0.2")}}});
    EXPECT_EQ(shown(table.price_of_tunnel(host("a.test"), 443)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_plain_request(host("a.test"), 80)), "price_unknown");
}

TEST(Prices, OfAPlainRequestPreferTheRequest) {
    const RouteTable table(
        {Route{.host = "both.test",
               .price = RoutePrice{.per_request = usdc("0.1"), .per_connection = usdc("0.2")}},
         tunnel("connection.test", "0.2"), Route{.host = "free.test", .price = RoutePrice{.free = true}}});
    EXPECT_EQ(shown(table.price_of_plain_request(host("both.test"), 80)), "0.100000");
    EXPECT_EQ(shown(table.price_of_plain_request(host("connection.test"), 8080)), "0.200000");
    EXPECT_EQ(shown(table.price_of_plain_request(host("free.test"), 80)), "0.000000");
}

TEST(Prices, OfAPlainRequestAreUnknownForMetersAndCredentials) {
    auto metered = tunnel("metered.test", "0.2");
    metered.meter = "openai";
    auto credential = tunnel("credential.test", "0.2");
    credential.credential = RouteCredential{.header = "Authorization", .value = Secret("secret")};
    const RouteTable table({metered, credential});
    EXPECT_EQ(shown(table.price_of_plain_request(host("metered.test"), 80)), "price_unknown");
    EXPECT_EQ(shown(table.price_of_plain_request(host("credential.test"), 80)), "price_unknown");
}

TEST(RouteTable, MatchGivesTheConfiguredRouteItself) {
    auto raw = tunnel("a.test", "0.2");
    raw.raw = true;
    const RouteTable table({raw});
    EXPECT_TRUE(table.match(host("a.test"), 443).raw);
    EXPECT_FALSE(table.match(host("b.test"), 443).raw);
}

TEST(RouteTable, RefusesAHostThatIsNoPattern) {
    EXPECT_THROW(RouteTable({Route{.host = "*.*.test"}}), std::invalid_argument);
}

TEST(RouteTable, ThousandsOfRoutesCostNoMoreThanOne) {
    std::vector<Route> routes;
    for (int i = 0; i < 5000; ++i) {
        routes.push_back(tunnel("h" + std::to_string(i) + ".example.com", "0.2"));
        routes.push_back(tunnel("*.s" + std::to_string(i) + ".example.com", "0.3"));
    }
    const RouteTable table(std::move(routes));
    const auto asked = host("a.b.c.s4999.example.com");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20'000; ++i)
        ASSERT_EQ(table.match(asked, 443).host, "*.s4999.example.com");
    // A scan of 10,000 routes would take seconds.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(RouteTable, OnlyATypicalRouteWithALimitHoldsLessThanBounds) {
    const RouteTable table({Route{.host = "typical.test",
                                  .port = 443,
                                  .reserve = ReserveMode::typical,
                                  .overrun_limit = usdc("0.5")},
                            Route{.host = "typical.test"},
                            Route{.host = "unlimited.test", .reserve = ReserveMode::typical},
                            Route{.host = "bound.test", .overrun_limit = usdc("0.5")}});
    EXPECT_EQ(table.overrun_limit(host("typical.test"), 443), usdc("0.5"));
    EXPECT_EQ(table.overrun_limit(host("typical.test"), 8443), std::nullopt);
    EXPECT_EQ(table.overrun_limit(host("unlimited.test"), 443), std::nullopt);
    EXPECT_EQ(table.overrun_limit(host("bound.test"), 443), std::nullopt);
    for (const auto* built_in : {"example.com", "github.com", "api.openai.com"})
        EXPECT_EQ(table.overrun_limit(host(built_in), 443), std::nullopt) << built_in;
}

TEST(RouteTable, TellsMetersWhatTheRouteSays) {
    Route route{.host = "a.test", .mode = RouteMode::intercept, .meter = "azure", .provider = "azure"};
    route.deployments = {{"prod-chat", "gpt-4o"}};
    route.tools = {{"web_search", {.fee = Usdc::from_nanos(10), .max_calls = 5, .tokens_per_call = 8000}}};
    route.max_read_units = 7;
    route.deferred = true;
    const RouteTable table({route});
    const auto terms = table.meter_terms(table.match(HostName::parse("a.test").value(), 443));
    EXPECT_EQ(terms.provider, "azure");
    EXPECT_EQ(terms.deployments, route.deployments);
    ASSERT_EQ(terms.tools.size(), 1U);
    EXPECT_EQ(terms.tools.at("web_search").fee, Usdc::from_nanos(10));
    EXPECT_EQ(terms.tools.at("web_search").max_calls, 5);
    EXPECT_EQ(terms.tools.at("web_search").tokens_per_call, 8000);
    EXPECT_EQ(terms.max_read_units, 7);
    EXPECT_TRUE(terms.allow_deferred);
    EXPECT_FALSE(table.meter_terms(Route{.host = "b.test"}).allow_deferred);
}

}  // namespace
}  // namespace nomiqon::metering
