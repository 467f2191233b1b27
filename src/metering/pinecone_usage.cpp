#include "pinecone_usage.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "items.h"
#include "rate.h"

// https://docs.pinecone.io/guides/manage-cost/monitor-usage-and-costs: `usage.readUnits` of reads,
// `usage.total_tokens` of embeddings, `usage.rerank_units`. `egressBytes` is not priced by the request: what
// a plan includes of it is counted by the month. An error is {"code", "message", "details"}, or {"error":
// {…}}.

namespace nomiqon::metering {

namespace {

using nlohmann::json;

struct Counter {
    std::string_view name;
    std::string_view item;  ///< empty: tokens that are read
};
constexpr auto known_counters = std::to_array<Counter>({
    {"readUnits", item_read_units},
    {"read_units", item_read_units},
    {"total_tokens", ""},
    {"totalTokens", ""},
    {"rerank_units", item_queries},
    {"rerankUnits", item_queries},
});
constexpr auto unpaid = std::to_array<std::string_view>({"egressBytes", "egress_bytes"});

class PineconeReader final : public UsageReader {
  public:
    void document(const json& answer) override {
        reported.failed = answer.contains("error") || (answer.contains("code") && answer.contains("message"));
        for (const std::string_view name : {"matches", "vectors", "data", "results"}) {
            const auto found = answer.find(name);
            reported.content = reported.content || (found != answer.end() && !found->empty());
        }
        const auto usage = answer.find("usage");
        if (usage == answer.end() || usage->is_null()) return;
        if (!usage->is_object()) {
            reported.unpriced = "the answer's usage is no object";
            return;
        }
        take(*usage);
    }
    Event event(std::string_view /*name*/, const json& /*data*/) override {
        reported.content = true;
        return Event::pass;
    }
    [[nodiscard]] std::string error_event(std::string_view /*code*/, std::string_view /*message*/,
                                          std::string_view /*request_id*/) const override {
        return {};
    }

  private:
    void take(const json& usage) {
        Pass pass;
        for (const auto& member : usage.items()) {
            const std::string_view name = member.key();
            if (is_one_of(unpaid, name)) continue;
            const auto count = read_counter(usage, name, reported);
            if (!count) continue;
            const auto* const known = std::ranges::find(known_counters, name, &Counter::name);
            if (known == known_counters.end()) {
                if (*count > 0) reported.unpriced = "the answer has a counter that is not known";
                continue;
            }
            reported.usage = true;
            if (known->item.empty()) {
                pass.usage.input = std::max(pass.usage.input, *count);
            } else {
                auto& slot = pass.usage.items[std::string{known->item}];
                slot = std::max(slot, *count);
            }
        }
        if (reported.usage) reported.passes = {pass};
    }
};

}  // namespace

std::unique_ptr<UsageReader> make_pinecone_reader() {
    return std::make_unique<PineconeReader>();
}

}  // namespace nomiqon::metering
