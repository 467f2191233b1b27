#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "nomiqon/metering/meter.h"

// Every exchange of tests/vectors/exchanges: what a provider was asked and answered, and what that costs as
// worked out by hand there (make.py). Each answer comes in many ways of being cut into pieces.

namespace nomiqon::metering {
namespace {

using nlohmann::json;

struct Exchange {
    std::string file;
    json prices;
    json document;
};

std::string from_base64(std::string_view text) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    unsigned bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) break;  // padding
        bits = (bits << 6U) | static_cast<unsigned>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>((bits >> count) & 0xFFU);
    }
    return bytes;
}

std::string body_of(const json& message) {
    if (message.contains("body")) return message.at("body");
    return from_base64(message.at("body_base64").get<std::string>());
}

Usdc usdc(const json& text) {
    const auto amount = Usdc::parse(text.get<std::string>());
    if (!amount) throw std::runtime_error("no amount: " + text.dump());
    return *amount;
}

/// Header fields that live as long as this does.
struct Fields {
    explicit Fields(const json& message) {
        for (const json& field : message.at("headers"))
            texts.emplace_back(field.at(0), field.at(1));
        for (const auto& [name, value] : texts)
            fields.push_back({.name = name, .value = value});
    }
    std::vector<std::pair<std::string, std::string>> texts{};
    std::vector<Field> fields{};
};

std::vector<Exchange> all_exchanges() {
    std::vector<Exchange> found;
    for (const auto& entry :
         std::filesystem::directory_iterator(NOMIQON_SOURCE_DIR "/tests/vectors/exchanges")) {
        if (entry.path().extension() != ".json") continue;
        std::ifstream file(entry.path());
        const json document = json::parse(file);
        for (const json& exchange : document.at("exchanges"))
            found.push_back({.file = entry.path().stem(),
                             .prices = exchange.value("prices", document.at("prices")),
                             .document = exchange});
    }
    std::ranges::sort(found, {}, [](const Exchange& each) {
        return each.file + each.document.at("name").get<std::string>();
    });
    return found;
}

std::string test_name(const testing::TestParamInfo<Exchange>& info) {
    std::string name = info.param.file + '_' + info.param.document.at("name").get<std::string>();
    std::ranges::replace_if(
        name,
        [](char c) { return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')); },
        '_');
    return name + '_' + std::to_string(info.index);
}

void PrintTo(const Exchange& exchange, std::ostream* out) {
    *out << "rules " << exchange.document.at("rules") << ": " << exchange.document.at("name");
}

/// Lengths of pieces that an answer comes in.
using Pieces = std::function<std::size_t()>;

struct Seen {
    std::string client;  ///< what it got
    bool final = false;  ///< whether the meter said so before the end
    Charge charge;
};

class Exchanges : public testing::TestWithParam<Exchange> {
  protected:
    void SetUp() override {
        auto parsed = PriceBook::parse(GetParam().prices.dump());
        ASSERT_TRUE(parsed) << parsed.error().front().message;
        book_ = *parsed;
        meter_ = find_meter(exchange().at("meter").get<std::string>());
        ASSERT_NE(meter_, nullptr) << exchange().at("meter");
    }

    [[nodiscard]] const json& exchange() const { return GetParam().document; }
    [[nodiscard]] const json& expected() const { return exchange().at("expected"); }
    [[nodiscard]] const json& answer() const { return exchange().at("answer"); }

    [[nodiscard]] MeterTerms terms() const {
        MeterTerms terms{.book = book_};
        const json given = exchange().value("terms", json::object());
        terms.provider = given.value("provider", "");
        terms.deployments = given.value("deployments", std::map<std::string, std::string>{});
        terms.max_read_units = given.value("max_read_units", 0);
        terms.allow_deferred = given.value("allow_deferred", false);
        for (const auto& [name, tool] : given.value("tools", json::object()).items())
            terms.tools[name] = {.fee = usdc(tool.at("fee")),
                                 .max_calls = tool.at("max_calls"),
                                 .tokens_per_call = tool.at("tokens_per_call")};
        return terms;
    }

    [[nodiscard]] std::expected<Quote, Refusal> quote() const {
        const json& request = exchange().at("request");
        const Fields fields{request};
        const std::string body = body_of(request);
        const std::string method = request.at("method");
        const std::string path = request.at("path");
        const std::string query = request.at("query");
        return meter_->quote(
            {.method = method, .path = path, .query = query, .fields = fields.fields, .body = body}, terms());
    }

    [[nodiscard]] Seen replay(AnswerMeter& meter, const Pieces& next) const {
        return replay(meter, next, body_of(answer()), answer().at("cut"));
    }

    [[nodiscard]] Seen replay(AnswerMeter& meter, const Pieces& next, const std::string& body,
                              bool cut) const {
        const Fields fields{answer()};
        Seen seen;
        meter.begin(answer().at("status"), fields.fields);
        for (std::size_t at = 0; at < body.size();) {
            const std::size_t size = std::min(next(), body.size() - at);
            meter.read(std::string_view{body}.substr(at, size), seen.client);
            at += size;
        }
        seen.final = meter.is_final();
        seen.charge = meter.end(cut ? AnswerEnd::cut : AnswerEnd::complete, seen.client);
        return seen;
    }

    void check_bound(const Quote& quote) const {
        if (exchange().contains("at_least")) {
            EXPECT_GE(quote.bound, usdc(exchange().at("at_least"))) << "rules 9 to 11";
        }
        if (exchange().contains("at_most")) {
            EXPECT_LE(quote.bound, usdc(exchange().at("at_most"))) << "rules 9 to 11";
        }
        if (exchange().contains("sent")) {
            ASSERT_TRUE(quote.body) << "the gateway must change the body";
            const json sent = json::parse(*quote.body);
            for (const auto& [name, value] : exchange().at("sent").items())
                EXPECT_EQ(sent.at(name), value) << name;
        }
        EXPECT_EQ(exchange().contains("hidden"), quote.identity_only);
    }

    void check_charge(const Quote& quote, const Charge& charge) const {
        using Kind = Charge::Kind;
        const std::string kind = expected().at("kind");
        const Usdc cost = expected().contains("cost") ? usdc(expected().at("cost")) : Usdc{};
        if (kind == "cost") {
            EXPECT_EQ(charge.kind, Kind::cost);
            EXPECT_EQ(charge.cost.to_string(), cost.to_string());
            EXPECT_EQ(charge.alarm, "");
            if (!exchange().value("overrun", false)) {
                EXPECT_LE(charge.cost, quote.bound) << "above its bound";
            }
            if (!charge.basis.empty()) {
                EXPECT_EQ(recompute(charge.basis, *book_), charge.cost) << "rule 19: " << charge.basis;
            }
        } else if (kind == "alarm") {
            EXPECT_EQ(charge.kind, Kind::cost);
            EXPECT_EQ(charge.cost.to_string(), std::max(quote.bound, cost).to_string());
            EXPECT_NE(charge.alarm, "");
        } else if (kind == "not_below") {
            EXPECT_GE(charge.cost, cost);
        } else {
            EXPECT_EQ(charge.kind, kind == "unknown" ? Kind::unknown : Kind::in_full);
            EXPECT_EQ(charge.cost.to_string(), quote.bound.to_string());
            EXPECT_EQ(charge.alarm.empty(), kind != "full_with_alarm") << charge.alarm;
        }
        if (expected().contains("model")) {
            EXPECT_EQ(charge.model, expected().at("model").get<std::string>());
        }
    }

    /// The client gets the provider's own bytes, but for an event that it didn't ask for. What is cut may
    /// lack the event that wasn't whole, and nothing more.
    void check_client(const Seen& seen) const {
        std::string all = body_of(answer());
        if (exchange().contains("hidden")) {
            const std::string hidden = exchange().at("hidden");
            const auto at = all.find(hidden);
            ASSERT_TRUE(at != std::string::npos || answer().at("cut"));
            if (at != std::string::npos) all.erase(at, hidden.size());
        }
        if (!answer().at("cut")) {
            EXPECT_EQ(seen.client, all);
            return;
        }
        ASSERT_TRUE(all.starts_with(seen.client)) << seen.client;
        const std::string missing = all.substr(seen.client.size());
        const auto end_of_event = missing.find("\n\n");
        EXPECT_EQ(end_of_event, std::string::npos) << missing;
    }

    std::shared_ptr<const PriceBook> book_{};
    const Meter* meter_ = nullptr;
};

TEST_P(Exchanges, CostsWhatWasWorkedOutByHand) {
    if (expected().contains("refusal")) {
        const auto refused = quote();
        ASSERT_FALSE(refused) << "bound " << refused->bound.to_string();
        EXPECT_EQ(info(refused.error().code).name, expected().at("refusal").get<std::string>())
            << refused.error().detail;
        return;
    }
    std::minstd_rand random{static_cast<unsigned>(std::hash<std::string>{}(exchange().at("name")))};
    std::vector<Pieces> ways{[] { return std::size_t{1}; }, [] { return std::string::npos; }};
    for (const std::size_t most : {3U, 17U, 17U, 200U, 200U, 1500U})
        ways.emplace_back([&random, most] { return 1 + random() % most; });
    for (const Pieces& way : ways) {
        const auto quoted = quote();
        ASSERT_TRUE(quoted) << quoted.error().detail;
        check_bound(*quoted);
        const Seen seen = replay(*quoted->answer, way);
        check_charge(*quoted, seen.charge);
        check_client(seen);
        if (answer().at("cut")) {
            EXPECT_EQ(seen.final, expected().at("kind") != "unknown");
        }
        if (HasFailure()) return;  // the other ways would say the same
    }
}

/// Rules 15 to 17: wherever an answer breaks, it costs what all of it would have, or the reservation.
TEST_P(Exchanges, CutAnywhereCostsTheSameOrAllThatIsHeld) {
    const std::string kind = expected().value("kind", "");
    if ((kind != "cost" && kind != "in_full") || answer().at("cut")) return;
    const std::string body = body_of(answer());
    constexpr std::size_t cuts = 60, last = 20;
    const std::size_t stride = body.size() / cuts + 1;
    for (std::size_t at = 0; at <= body.size(); at += at + last < body.size() ? stride : 1) {
        const auto quoted = quote();
        ASSERT_TRUE(quoted);
        const Usdc whole = kind == "cost" ? usdc(expected().at("cost")) : quoted->bound;
        const Seen seen = replay(*quoted->answer, [] { return std::size_t{97}; }, body.substr(0, at), true);
        if (seen.charge.kind == Charge::Kind::cost) {
            EXPECT_EQ(seen.charge.cost.to_string(), whole.to_string()) << "cut at " << at;
            EXPECT_TRUE(seen.final);
        } else {
            EXPECT_EQ(seen.charge.cost.to_string(), quoted->bound.to_string()) << "cut at " << at;
        }
        if (HasFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Recorded, Exchanges, testing::ValuesIn(all_exchanges()), test_name);

TEST(ExchangeTable, HasEnoughOfThem) {
    constexpr std::size_t promised = 120;
    EXPECT_GE(all_exchanges().size(), promised);
}

}  // namespace
}  // namespace nomiqon::metering
