#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model_price.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"
#include "openai_bound.h"
#include "openai_reader.h"
#include "openai_row.h"
#include "openai_text.h"

namespace nomiqon::metering {

/// A request whose model is known.
struct OpenAiRequest {
    const OpenAiRow& row;
    const MeterTerms& terms;
    const nlohmann::json& document;
    std::string_view model;  ///< as the price book has it
    const ModelPrice& price;
};

/// The request's limit on what is written, for one output.
struct OpenAiLimit {
    std::vector<std::string_view> given{};  ///< members of the request that give it
    std::string_view member{};              ///< to write, where none does
    std::int64_t tokens = 0;
    std::int64_t least = 1;  ///< that the provider takes
};

/// What a request may use, and what has to be written into it to hold it to that.
struct OpenAiPlan {
    OpenAiBound bound{};                 ///< but for the output
    std::optional<OpenAiLimit> limit{};  ///< nothing: there is none that holds
    std::int64_t output = 0;             ///< of each, without a limit
    std::int64_t outputs = 1;
    std::int64_t more_output = 0;                 ///< beside what the limit holds
    std::map<std::string, std::string> writes{};  ///< members and their JSON, into the body
    bool flat = false;      ///< the bound is what an answer costs, because no answer tells more
    bool deferred = false;  ///< spends later: settles its bound at once (rule 3)
    OpenAiAnswer answer{};
    std::unique_ptr<UsageReader> (*make_reader)(OpenAiAnswer) = nullptr;

    /// With an output limit of `tokens`, or its own.
    [[nodiscard]] OpenAiBound bound_at(std::optional<std::int64_t> tokens) const;
};

/// Rules 9 to 12 for each kind of call.
using OpenAiPlanner = std::expected<OpenAiPlan, Refusal> (*)(const OpenAiRequest&);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_chat(const OpenAiRequest& request);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_completions(const OpenAiRequest& request);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_responses(const OpenAiRequest& request);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_embeddings(const OpenAiRequest& request);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_images(const OpenAiRequest& request);
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_speech(const OpenAiRequest& request);

/// More than any model reads: for what the price book has no maximum of.
inline constexpr std::int64_t most_tokens = 1'000'000'000;

// Members of a request, for the planners.
[[nodiscard]] const nlohmann::json& request_member(const nlohmann::json& object, std::string_view name);
[[nodiscard]] std::string_view request_text(const nlohmann::json& object, std::string_view name);
/// A flag: true, or false, null or absent. Anything else is refused: it may be true to the provider.
[[nodiscard]] std::expected<bool, Refusal> request_flag(const nlohmann::json& object, std::string_view name);
/// How many outputs are asked for by `name`: 1 where it isn't there.
[[nodiscard]] std::expected<std::int64_t, Refusal> request_count(const nlohmann::json& object,
                                                                 std::string_view name);
/// Sets the plan's limit from what the request gives under any of `names`, and the model's maximum.
[[nodiscard]] std::expected<void, Refusal> read_output_limit(const OpenAiRequest& request,
                                                             std::span<const std::string_view> names,
                                                             std::string_view member, OpenAiPlan& plan);

/// Text of every member but those in `read_before`: none can make the model read more than it says.
[[nodiscard]] std::int64_t other_text(const nlohmann::json& document,
                                      std::initializer_list<std::string_view> read_before);
/// Rule 9: what one pass of the model reads, given all its text in bytes.
[[nodiscard]] std::expected<std::int64_t, Refusal> input_tokens(const OpenAiRequest& request,
                                                                const OpenAiReading& reading,
                                                                std::int64_t text);
/// Whether the provider may write what it reads into its cache, and for how long.
void set_caching(const OpenAiRequest& request, OpenAiPlan& plan);

}  // namespace nomiqon::metering
