#include "serpapi_usage.h"

#include <array>
#include <nlohmann/json.hpp>

#include "items.h"
#include "rate.h"

// https://serpapi.com/search-api: `search_metadata.status` goes from `Processing` to `Success` or `Error`,
// and https://serpapi.com/account-api counts those that succeed or are being processed, not those that
// failed. A search without results is a success that has an `error` too. One that comes from SerpApi's cache
// is not counted there, but looks like any other here, and costs (rule 16).

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// Members that tell of the search, not what was found.
constexpr auto no_results =
    std::to_array<std::string_view>({"search_metadata", "search_parameters", "search_information", "error"});

class SerpApiReader final : public UsageReader {
  public:
    void document(const json& answer) override {
        for (const auto& member : answer.items()) {
            const bool about = is_one_of(no_results, std::string_view{member.key()});
            reported.content = reported.content || (!about && !member.value().empty());
        }
        const auto metadata = answer.find("search_metadata");
        const bool searched = metadata != answer.end() && metadata->is_object();
        const std::string status = searched ? read_name(*metadata, "status") : std::string{};
        reported.failed = status == "Error" || (!searched && answer.contains("error"));
        if (!searched || status == "Error") return;
        reported.usage = true;
        reported.passes = {Pass{.usage = {.items = {{std::string{item_queries}, 1}}}}};
    }
    Event event(std::string_view /*name*/, const json& /*data*/) override {
        reported.content = true;
        return Event::pass;
    }
    [[nodiscard]] std::string error_event(std::string_view /*code*/, std::string_view /*message*/,
                                          std::string_view /*request_id*/) const override {
        return {};
    }
};

}  // namespace

std::unique_ptr<UsageReader> make_serpapi_reader() {
    return std::make_unique<SerpApiReader>();
}

}  // namespace nomiqon::metering
