#include <gtest/gtest.h>

#include <string>

#include "forwarded_head.h"
#include "query_credential.h"

namespace nomiqon::proxy {
namespace {

constexpr auto planner = "ag_01hzy3v8q4w5x6y7z8a9b0c1d2";
constexpr auto other = "ag_01hzy3v8q4w5x6y7z8a9b0c1d3";

RouteCredential credential(const std::string& header, const std::string& query) {
    RouteCredential result{.header = header, .query = query, .value = Secret("for-all")};
    result.agents.emplace(planner, Secret("for-planner"));
    return result;
}

TEST(AgentCredential, GoesIntoTheQueryBeforeThatOfAll) {
    const auto key = credential("", "api_key");
    EXPECT_EQ(target_with_credential("/search?q=a", key, planner), "/search?q=a&api_key=for-planner");
    EXPECT_EQ(target_with_credential("/search?q=a", key, other), "/search?q=a&api_key=for-all");
}

TEST(AgentCredential, GoesIntoTheHeaderBeforeThatOfAll) {
    const auto key = credential("X-Key", "");
    RequestHead request;
    request.method = "GET";
    request.target.path_and_query = "/";
    request.headers = {{"X-Key", "own"}, {"Authorization", "Bearer own"}};
    const auto head = [&](std::string_view agent) {
        return upstream_request_head(request, {.target = Endpoint::parse("api.test:443").value(),
                                               .scheme = Scheme::https,
                                               .credential = &key,
                                               .agent = agent});
    };
    EXPECT_NE(head(planner).find("\r\nX-Key: for-planner\r\n"), std::string::npos) << head(planner);
    EXPECT_NE(head(other).find("\r\nX-Key: for-all\r\n"), std::string::npos) << head(other);
    EXPECT_EQ(head(other).find("own"), std::string::npos) << head(other);
}

}  // namespace
}  // namespace nomiqon::proxy
