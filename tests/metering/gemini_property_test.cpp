#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "gemini_world.h"

// The bound is never below the charge of an answer that the provider may give.

namespace nomiqon::metering {
namespace {

using namespace testing;
using nlohmann::json;

TEST(GeminiBound, IsNeverBelowTheCharge) {
    int priced = 0;
    for (std::uint32_t seed = 0; seed < 4000; ++seed) {
        std::mt19937 random{seed};
        const auto upto = [&random](std::int64_t most) {
            const auto kind = std::uniform_int_distribution<int>{0, 3}(random);
            return kind == 0   ? 0
                   : kind == 1 ? most
                               : std::uniform_int_distribution<std::int64_t>{0, most}(random);
        };
        json parts = json::array();
        std::int64_t text = 0;
        std::int64_t pictures = 0;
        bool sound = false;
        for (std::int64_t i = upto(5); i >= 0; --i) {
            const std::int64_t size = upto(3000);
            const auto kind = upto(3);
            if (kind == 1) {
                ++pictures;
                parts.push_back({{"inlineData", {{"mimeType", "image/png"}, {"data", "AAAA"}}}});
            } else if (kind == 2 && upto(1) == 1) {
                sound = true;
                parts.push_back({{"inlineData", {{"mimeType", "audio/mp3"}, {"data", "AAAA"}}}});
            } else {
                text += size;
                parts.push_back({{"text", std::string(static_cast<std::size_t>(size), 'a')}});
            }
        }
        const std::int64_t limit = upto(2000) + 1;
        const std::int64_t candidates = upto(3) + 1;
        const json body{{"contents", {{{"role", "user"}, {"parts", parts}}}},
                        {"generationConfig", {{"maxOutputTokens", limit}, {"candidateCount", candidates}}}};
        const auto quote = generate(body.dump());
        ASSERT_TRUE(quote) << quote.error().detail << body;

        const std::int64_t read =
            sound ? upto(100'000) : upto(std::min<std::int64_t>(text + pictures * 2'240 + 20, 100'000));
        const std::int64_t images = std::min(upto(pictures * 2'240), read);
        const std::int64_t audio = sound ? upto(read - images) : 0;
        const std::int64_t written = upto(limit * candidates);
        const std::int64_t thoughts = upto(written);
        const json answer{
            {"candidates", {{{"content", {{"parts", {{{"text", "Hi"}}}}}}, {"finishReason", "STOP"}}}},
            {"modelVersion", "gemini-3-x"},
            {"usageMetadata",
             {{"promptTokenCount", read},
              {"cachedContentTokenCount", upto(read)},
              {"candidatesTokenCount", written - thoughts},
              {"thoughtsTokenCount", thoughts},
              {"totalTokenCount", read + written},
              {"promptTokensDetails",
               {{{"modality", "AUDIO"}, {"tokenCount", audio}},
                {{"modality", "IMAGE"}, {"tokenCount", images}}}}}}};
        const Charge charge = settle(*quote->answer, {.body = answer.dump()});
        EXPECT_LE(charge.cost, quote->bound) << seed << answer;
        EXPECT_EQ(charge.alarm, "") << seed << answer;
        priced += charge.kind == Charge::Kind::cost;
    }
    EXPECT_GT(priced, 1000);
}

}  // namespace
}  // namespace nomiqon::metering
