#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "anthropic_world.h"

// The bound is never below the charge of an answer that the provider may give: random requests, and for each
// random answers within what the request allows by the provider's own figures.

namespace nomiqon::metering {
namespace {

using namespace testing;
using nlohmann::json;

class World {
  public:
    explicit World(std::uint32_t seed) : random_(seed) {}

    /// From 0 to `most`, often one of the two.
    std::int64_t upto(std::int64_t most) {
        const auto kind = std::uniform_int_distribution<int>{0, 3}(random_);
        if (kind == 0) return 0;
        if (kind == 1) return most;
        return std::uniform_int_distribution<std::int64_t>{0, most}(random_);
    }
    bool maybe() { return upto(1) == 1; }

    json request() {
        json body{{"model", model()}, {"max_tokens", upto(3000) + 1}, {"messages", json::array()}};
        for (std::int64_t i = upto(4); i >= 0; --i) {
            json content = json::array();
            for (std::int64_t k = upto(3); k > 0; --k)
                content.push_back(block());
            body["messages"].push_back({{"role", "user"}, {"content", content}});
        }
        if (maybe()) body["system"] = text(upto(5000));
        if (maybe())
            body["tools"].push_back(
                {{"name", text(5)}, {"input_schema", {{"description", text(upto(500))}}}});
        if (maybe() && body["model"] != "claude-us") {
            searches_ = upto(4);
            body["tools"].push_back(
                {{"type", "web_search_20250305"}, {"name", "web_search"}, {"max_uses", searches_}});
        }
        if (body["model"] == "claude-x" && maybe()) {
            body["cache_control"] = {{"type", "ephemeral"}};
            if (maybe()) body["cache_control"]["ttl"] = "1h";
        }
        if (body["model"] == "claude-us" && maybe()) body["speed"] = "fast";
        if (maybe()) body["service_tier"] = maybe() ? "auto" : "standard_only";
        tools_ = body.contains("tools");
        if (maybe() && !body.contains("speed")) body["fallbacks"] = json::array({{{"model", "claude-x"}}});
        return body;
    }

    json usage(const json& body) {
        const std::int64_t rounds = searches_ + 1;
        const std::int64_t window = body["model"] == "claude-us"     ? 1000
                                    : body["model"] == "claude-long" ? 1'000'000
                                                                     : 200'000;
        const std::int64_t first = text_ + pictures_ * 1'600 + (tools_ ? 530 : 0) + 50;
        std::int64_t read = 0;
        for (std::int64_t i = 0; i < rounds; ++i)
            read += std::min(window, first + i * 20'000);
        read = upto(read);
        json usage{{"output_tokens", upto(body["max_tokens"].get<std::int64_t>() * rounds)}};
        if (body.contains("cache_control")) {
            const std::int64_t written = upto(read);
            const bool hour = body["cache_control"].contains("ttl");
            usage["cache_creation_input_tokens"] = written;
            usage["cache_creation"] = {
                {hour ? "ephemeral_1h_input_tokens" : "ephemeral_5m_input_tokens", written}};
            usage["cache_read_input_tokens"] = upto(read - written);
            read -= written + usage["cache_read_input_tokens"].get<std::int64_t>();
        }
        usage["input_tokens"] = read;
        if (searches_ > 0) usage["server_tool_use"] = {{"web_search_requests", upto(searches_)}};
        if (body["model"] == "claude-us" && maybe()) usage["inference_geo"] = "us";
        if (maybe()) usage["service_tier"] = "standard";
        return usage;
    }

  private:
    std::string model() {
        const auto which = upto(2);
        return which == 0 ? "claude-x" : which == 1 ? "claude-us" : "claude-long";
    }
    std::string text(std::int64_t size) {
        text_ += size;
        return std::string(static_cast<std::size_t>(size), 'a');
    }
    json block() {
        if (maybe()) return {{"type", "text"}, {"text", text(upto(2000))}};
        if (maybe()) return {{"type", "tool_result"}, {"tool_use_id", "t"}, {"content", text(upto(2000))}};
        ++pictures_;
        return {{"type", "image"},
                {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", "AAAA"}}}};
    }

    std::mt19937 random_;
    std::int64_t text_ = 0;
    std::int64_t pictures_ = 0;
    std::int64_t searches_ = 0;
    bool tools_ = false;
};

TEST(AnthropicBound, IsNeverBelowTheCharge) {
    int priced = 0;
    for (std::uint32_t seed = 0; seed < 4000; ++seed) {
        World world{seed};
        const json body = world.request();
        const auto first = message(body.dump());
        ASSERT_TRUE(first) << first.error().detail << body;
        const json usage = world.usage(body);
        const json answer{{"type", "message"},
                          {"model", body["model"]},
                          {"content", {{{"type", "text"}}}},
                          {"usage", usage}};
        const std::string stream =
            event("message_start", json{{"type", "message_start"}, {"message", answer}}.dump()) + some_text +
            event("message_delta",
                  json{{"type", "message_delta"}, {"delta", {{"stop_reason", "end_turn"}}}, {"usage", usage}}
                      .dump());
        const Charge document = settle(*first->answer, {.body = answer.dump()});
        EXPECT_LE(document.cost, first->bound) << seed << body << usage;
        EXPECT_EQ(document.alarm, "") << seed << body << usage;
        const auto second = message(body.dump());
        const Charge events =
            settle(*second->answer, {.type = "text/event-stream", .body = stream, .piece = 100});
        EXPECT_EQ(events.cost, document.cost) << seed << body << usage;
        EXPECT_EQ(events.kind, document.kind) << seed;
        priced += document.kind == Charge::Kind::cost;
    }
    EXPECT_GT(priced, 1000);
}

}  // namespace
}  // namespace nomiqon::metering
