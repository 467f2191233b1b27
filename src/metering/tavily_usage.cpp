#include "tavily_usage.h"

#include <nlohmann/json.hpp>

#include "items.h"

// `usage.credits` where the request has `include_usage`. What a request found stands in `results`, `answer`
// and `images`; an error in `detail`. A streamed research has events of OpenAI's form, and
// {"object": "error", "error": "…"} where it fails.

namespace nomiqon::metering {

namespace {

using nlohmann::json;

class TavilyReader final : public UsageReader {
  public:
    void document(const json& answer) override {
        for (const std::string_view name : {"detail", "error"}) {
            reported.failed = reported.failed || answer.contains(name);
        }
        for (const std::string_view name : {"results", "answer", "images", "content"}) {
            const auto found = answer.find(name);
            reported.content = reported.content || (found != answer.end() && !is_empty(*found));
        }
        take_usage(answer);
    }

    Event event(std::string_view name, const json& data) override {
        if (name == "error" || data.contains("error")) {
            reported.failed = true;
        } else {
            reported.content = true;
        }
        take_usage(data);
        return Event::pass;
    }

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        const json data{
            {"id", request_id}, {"object", "error"}, {"error", std::string{message}}, {"code", code}};
        return "event: error\ndata: " + data.dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
    }

  private:
    static bool is_empty(const json& value) {
        return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
    }

    void take_usage(const json& holder) {
        const auto usage = holder.find("usage");
        if (usage == holder.end() || usage->is_null()) return;
        if (!usage->is_object()) {
            reported.unpriced = "the answer's usage is no object";
            return;
        }
        const auto credits = read_counter(*usage, "credits", reported);
        if (!credits) return;
        reported.usage = true;
        reported.passes = {Pass{.usage = {.items = {{std::string{item_credits}, *credits}}}}};
    }
};

}  // namespace

std::unique_ptr<UsageReader> make_tavily_reader() {
    return std::make_unique<TavilyReader>();
}

}  // namespace nomiqon::metering
