#include "refusal_response.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "response_head.h"

namespace nomiqon::proxy {
namespace {

constexpr std::string_view request_id = "req_01hx0000000000000000000000";

struct Answer {
    ResponseHead head;
    std::string body;
    [[nodiscard]] std::string field(std::string_view name) const {
        const auto* found = find_field(head.headers, name);
        return found == nullptr ? "(none)" : found->value;
    }
    [[nodiscard]] nlohmann::json error() const { return nlohmann::json::parse(body).at("error"); }
};

Answer render(const Refusal& refusal, RefusalContext context = {}) {
    context.request_id = request_id;
    const std::string bytes = render_refusal(refusal, context);
    auto head = ResponseHeadReader{{}, context.to_head}.read(bytes);
    if (!head || !*head) {
        ADD_FAILURE() << bytes;
        return {};
    }
    const auto consumed = (*head)->consumed;
    return {.head = std::move(**head), .body = bytes.substr(consumed)};
}

TEST(RefusalResponse, IsWhatTheSpecificationShows) {
    const std::string bytes =
        render_refusal({.code = RefusalCode::policy_domain_blocked, .detail = "for the log", .agent = "ag_1"},
                       {.request_id = request_id});
    const std::string message{info(RefusalCode::policy_domain_blocked).message};
    const std::string body =
        R"({"error":{"type":"spend_authorization_error","code":"policy_domain_blocked","message":)" +
        nlohmann::json(message).dump() + R"(,"agent":"ag_1","requestId":")" + std::string{request_id} +
        R"("}})";
    EXPECT_EQ(bytes,
              "HTTP/1.1 403 policy_domain_blocked\r\nX-Nomiqon-Error: policy_domain_blocked\r\n"
              "X-Nomiqon-Request-Id: " +
                  std::string{request_id} +
                  "\r\nx-should-retry: false\r\n"
                  "Cache-Control: no-store\r\nContent-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\nConnection: keep-alive\r\n\r\n" + body);
}

TEST(RefusalResponse, EveryCodeGivesAWellFormedAnswer) {
    for (int i = 0; i < refusal_code_count; ++i) {
        const auto code = static_cast<RefusalCode>(i);
        const auto& known = info(code);
        SCOPED_TRACE(std::string{known.name});
        const auto answer = render({.code = code, .detail = "secret detail"});
        EXPECT_EQ(answer.head.status, known.status);
        EXPECT_EQ(answer.head.reason, known.name);
        EXPECT_EQ(answer.field("X-Nomiqon-Error"), known.name);
        EXPECT_EQ(answer.field("X-Nomiqon-Request-Id"), request_id);
        EXPECT_EQ(answer.field("x-should-retry"), known.retry_helps ? "true" : "false");
        EXPECT_EQ(answer.field("Retry-After"), known.status == 429 || known.status == 503 ? "1" : "(none)");
        EXPECT_EQ(answer.field("Proxy-Authenticate"),
                  known.status == 407 ? "Basic realm=\"nomiqon\"" : "(none)");
        EXPECT_EQ(answer.field("WWW-Authenticate"), "(none)");
        EXPECT_EQ(answer.field("Content-Type"), "application/json");
        EXPECT_EQ(answer.head.content_length, answer.body.size());
        EXPECT_EQ(answer.error().at("code"), known.name);
        EXPECT_EQ(answer.error().at("message"), known.message);
        EXPECT_EQ(answer.error().at("requestId"), request_id);
        EXPECT_FALSE(answer.error().contains("agent"));
        EXPECT_FALSE(answer.error().contains("cap"));
        EXPECT_EQ(answer.body.find("secret detail"), std::string::npos);
    }
}

TEST(RefusalResponse, InsideAConnectionTheProxysStatusIsTheOrigins) {
    const auto inside = render({.code = RefusalCode::spend_token_missing}, {.inside = true});
    EXPECT_EQ(inside.head.status, 401);
    EXPECT_NE(inside.field("WWW-Authenticate"), "(none)");
    EXPECT_EQ(inside.field("Proxy-Authenticate"), "(none)");
    EXPECT_EQ(render({.code = RefusalCode::agent_frozen}, {.inside = true}).head.status, 403);
}

TEST(RefusalResponse, SaysWhetherTheConnectionStaysOpen) {
    EXPECT_EQ(render({.code = RefusalCode::spend_token_missing}).field("Connection"), "keep-alive");
    EXPECT_EQ(render({.code = RefusalCode::bad_request}, {.close = true}).field("Connection"), "close");
}

TEST(RefusalResponse, OfHeadHasALengthAndNoBody) {
    const auto answer = render({.code = RefusalCode::agent_frozen}, {.to_head = true});
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(answer.head.content_length, render({.code = RefusalCode::agent_frozen}).body.size());
}

TEST(RefusalResponse, ACapIsShownWithHowItStands) {
    const Refusal refusal{.code = RefusalCode::policy_cap_exceeded,
                          .cap = CapState{.cap = "daily",
                                          .limit = *Usdc::parse("5"),
                                          .spent = *Usdc::parse("4.9"),
                                          .reserved = *Usdc::parse("0.05"),
                                          .resets_at = *parse_time("2026-05-25T00:00:00Z")},
                          .agent = "ag_1"};
    const auto error = render(refusal).error();
    EXPECT_EQ(error.at("cap"), "daily");
    EXPECT_EQ(error.at("limit"), "5.000000");
    EXPECT_EQ(error.at("spent"), "4.900000");
    EXPECT_EQ(error.at("reserved"), "0.050000");
    EXPECT_EQ(error.at("resetsAt"), "2026-05-25T00:00:00.000Z");
    EXPECT_EQ(error.at("agent"), "ag_1");
}

TEST(RefusalResponse, ACapThatNeverResetsSaysNoTime) {
    const auto error =
        render({.code = RefusalCode::insufficient_balance,
                .cap = CapState{.cap = "balance", .limit = {}, .spent = {}, .reserved = {}, .resets_at = {}}})
            .error();
    EXPECT_EQ(error.at("cap"), "balance");
    EXPECT_FALSE(error.contains("resetsAt"));
}

TEST(RefusalResponse, TextsAreEscapedAndNeverFail) {
    const auto error = render({.code = RefusalCode::bad_request, .agent = "a\"\\\n\xff"}).error();
    EXPECT_EQ(error.at("agent"), "a\"\\\n\xef\xbf\xbd");
}

}  // namespace
}  // namespace nomiqon::proxy
