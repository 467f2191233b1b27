#include "gemini_usage.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

// The Gemini API's answers: https://ai.google.dev/api/generate-content#UsageMetadata. A stream's chunks have
// the form of the whole answer, and each tells the use so far; the last one counts.
//
//   promptTokenCount         all that was read, cachedContentTokenCount of it from a cache
//   toolUsePromptTokenCount  what tools added to it
//   candidatesTokenCount     what was written, thoughtsTokenCount beside it
//   totalTokenCount          all of these

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// Tokens by modality, where the rates may differ. Documents are read at the rate of text.
struct Modalities {
    std::int64_t audio = 0;
    std::int64_t image = 0;
    std::int64_t video = 0;
    [[nodiscard]] std::int64_t sum() const { return audio + image + video; }
};

class GeminiReader final : public UsageReader {
  public:
    explicit GeminiReader(GeminiAsked asked) : asked_(std::move(asked)) {}

    void document(const json& answer) override { take(answer); }

    Event event(std::string_view /*name*/, const json& data) override {
        take(data);
        return Event::pass;
    }

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        constexpr int unavailable = 503;
        const json data{
            {"error",
             {{"code", unavailable},
              {"status", code},
              {"message", message},
              {"details",
               {{{"@type", "type.googleapis.com/google.rpc.RequestInfo"}, {"requestId", request_id}}}}}}};
        return "data: " + data.dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
    }

  private:
    void take(const json& answer) {
        reported.failed = reported.failed || answer.contains("error");
        for (const std::string_view name : {"embedding", "embeddings"}) {
            reported.content = reported.content || answer.contains(name);
        }
        if (const auto candidates = answer.find("candidates");
            candidates != answer.end() && candidates->is_array()) {
            for (std::size_t i = 0; i < candidates->size(); ++i)
                take_candidate((*candidates)[i], i);
        }
        if (std::string model = read_name(answer, "modelVersion"); !model.empty()) {
            constexpr std::string_view prefix = "models/";
            model_ = model.starts_with(prefix) ? model.substr(prefix.size()) : std::move(model);
        }
        if (const auto usage = answer.find("usageMetadata"); usage != answer.end() && !usage->is_null()) {
            if (usage->is_object()) {
                take_usage(*usage);
            } else {
                reported.unpriced = "the answer's usageMetadata is no object";
            }
        }
        publish();
    }

    void take_candidate(const json& candidate, std::size_t place) {
        if (!candidate.is_object()) return;
        const auto told = read_counter(candidate, "index", reported);
        const std::int64_t index = told.value_or(static_cast<std::int64_t>(place));
        if (!read_name(candidate, "finishReason").empty()) finished_.insert(index);
        const auto content = candidate.find("content");
        const bool parts = content != candidate.end() && content->is_object() && content->contains("parts") &&
                           !content->at("parts").empty();
        if (parts) {
            reported.content = true;
            if (!content->at("parts").is_array()) return;
            for (const json& part : content->at("parts"))
                code_ += part.is_object() && part.contains("executableCode");
        }
        const auto grounding = candidate.find("groundingMetadata");
        if (grounding == candidate.end() || !grounding->is_object() || grounding->empty()) return;
        const auto queries = grounding->find("webSearchQueries");
        const std::size_t count = queries != grounding->end() && queries->is_array() ? queries->size() : 0;
        std::int64_t& searches = searches_[index];
        searches = std::max({searches, std::int64_t{1}, static_cast<std::int64_t>(count)});
    }

    void take_usage(const json& usage) {
        const auto last = [&](std::optional<std::int64_t>& counter, std::string_view name) {
            if (const auto value = read_counter(usage, name, reported)) counter = value;
        };
        last(prompt_, "promptTokenCount");
        last(cached_, "cachedContentTokenCount");
        last(candidates_, "candidatesTokenCount");
        last(thoughts_, "thoughtsTokenCount");
        last(tools_, "toolUsePromptTokenCount");
        last(total_, "totalTokenCount");
        take_details(usage, "promptTokensDetails", prompt_kinds_);
        take_details(usage, "promptTokenDetails", prompt_kinds_);  // of embeddings
        take_details(usage, "cacheTokensDetails", cached_kinds_);
        take_details(usage, "candidatesTokensDetails", candidate_kinds_);
        if (std::string tier = read_name(usage, "serviceTier"); !tier.empty()) {
            std::ranges::transform(tier, tier.begin(),
                                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
            tier_ = tier == "unspecified" ? std::string{} : std::move(tier);
        }
        constexpr auto known = std::to_array<std::string_view>(
            {"promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
             "toolUsePromptTokenCount", "totalTokenCount"});
        for (const auto& item : usage.items()) {
            const bool counts = item.key().ends_with("Count") && !item.value().is_null() && item.value() != 0;
            if (counts && std::ranges::find(known, item.key()) == known.end()) {
                reported.unpriced = "the answer has a counter that is not known";
            }
        }
    }

    void take_details(const json& usage, std::string_view name, Modalities& kinds) {
        const auto details = usage.find(name);
        if (details == usage.end() || !details->is_array()) return;
        kinds = {};
        for (const json& detail : *details) {
            if (!detail.is_object()) continue;
            const std::int64_t count = read_counter(detail, "tokenCount", reported).value_or(0);
            const std::string modality = read_name(detail, "modality");
            if (modality == "AUDIO") {
                kinds.audio += count;
            } else if (modality == "IMAGE") {
                kinds.image += count;
            } else if (modality == "VIDEO") {
                kinds.video += count;
            } else if (modality != "TEXT" && modality != "DOCUMENT" && count > 0) {
                reported.unpriced = "the answer has a modality that is not known";
            }
        }
    }

    /// What was read: the prompt, less what came from the cache, and what tools added.
    void read_side(Usage& usage) {
        const std::int64_t prompt = prompt_.value_or(0);
        const std::int64_t cached = std::min(cached_.value_or(0), prompt);
        if (prompt_kinds_.sum() > prompt || cached_kinds_.sum() > cached) {
            reported.unpriced = "the answer's modalities are more than their sum";
            return;
        }
        usage.cache_read_audio = cached_kinds_.audio;
        usage.cache_read_image = cached_kinds_.image;
        usage.cache_read = cached - cached_kinds_.audio - cached_kinds_.image;
        // Where the cache's modalities aren't told, it took the text, then film, then pictures: what stays is
        // dearer.
        std::int64_t left = prompt - cached;
        const auto take = [&left](std::int64_t count) {
            const std::int64_t taken = std::clamp(count, std::int64_t{0}, left);
            left -= taken;
            return taken;
        };
        usage.input_audio = take(prompt_kinds_.audio - cached_kinds_.audio);
        usage.input_image = take(prompt_kinds_.image - cached_kinds_.image);
        usage.input_video = take(prompt_kinds_.video - cached_kinds_.video);
        usage.input = left + tools_.value_or(0);
    }

    void write_side(Usage& usage) {
        const std::int64_t candidates = candidates_.value_or(0);
        const std::int64_t thoughts = thoughts_.value_or(0);
        usage.output_reasoning = thoughts;
        usage.output_audio = std::min(candidate_kinds_.audio, candidates);
        usage.output_image = std::min(candidate_kinds_.image, candidates - usage.output_audio);
        usage.output = candidates - usage.output_audio - usage.output_image;
        // Rule 15: what the total has beyond all that was read was written.
        const std::int64_t read = prompt_.value_or(0) + tools_.value_or(0);
        const std::int64_t written = total_.value_or(0) - read;
        if (written > candidates + thoughts) usage.output += written - candidates - thoughts;
    }

    void publish() {
        Pass pass{.model = model_, .terms = {.service_tier = tier_}};
        read_side(pass.usage);
        if (!asked_.embedding) write_side(pass.usage);
        std::int64_t searches = 0;
        for (const auto& search : searches_)
            searches += search.second;
        // Before Gemini 3 a grounded prompt is paid once, however many searches it made.
        if (model_.starts_with("gemini-2") || model_.starts_with("gemini-1"))
            searches = std::min(searches, std::int64_t{1});
        for (const auto& [tool, count] :
             {std::pair{"google_search", searches}, std::pair{"code_execution", code_}}) {
            if (asked_.paid_tools.contains(tool) && count > 0) pass.usage.items[tool] = count;
        }
        // An answer that lacks one of these was shortened, or is not the last of its stream.
        const bool told = prompt_ && (total_ || asked_.embedding);
        const bool nothing = pass.usage.tokens_written() == 0 && !asked_.embedding && reported.content;
        reported.usage = told && !nothing;
        reported.final = reported.usage && static_cast<std::int64_t>(finished_.size()) >= asked_.candidates;
        reported.passes.assign(1, std::move(pass));
    }

    GeminiAsked asked_;
    std::string model_{};
    std::string tier_{};
    std::set<std::int64_t> finished_{};
    std::map<std::int64_t, std::int64_t> searches_{};
    std::int64_t code_ = 0;
    std::optional<std::int64_t> prompt_{}, cached_{}, candidates_{}, thoughts_{}, tools_{}, total_{};
    Modalities prompt_kinds_{}, cached_kinds_{}, candidate_kinds_{};
};

}  // namespace

std::unique_ptr<UsageReader> make_gemini_reader(GeminiAsked asked) {
    return std::make_unique<GeminiReader>(std::move(asked));
}

}  // namespace nomiqon::metering
