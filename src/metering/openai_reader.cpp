// Answers of OpenAI's API and of those that follow it: the references of chat completions, the Responses API
// and the audio and image endpoints, as of November 2026.

#include "openai_reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "items.h"
#include "openai_tools.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

const Json& member(const Json& object, std::string_view name) {
    static const Json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(name);
    return found == object.end() ? nothing : *found;
}

/// Anything but null, empty strings, empty arrays and empty objects.
bool has_substance(const Json& value) {
    if (value.is_null()) return false;
    if (value.is_string() || value.is_structured()) return !value.empty() && value != "";
    return true;
}

std::string to_text(const Json& value) {
    // What a caller passes may not be UTF-8; an error's text must not become an exception.
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

class Reader : public UsageReader {
  public:
    explicit Reader(OpenAiAnswer answer) : answer_(std::move(answer)), counters_(answer_.writes) {}

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        return "data: " + to_text({{"error", error_of(code, message, request_id)}}) + "\n\n";
    }

  protected:
    static Json error_of(std::string_view code, std::string_view message, std::string_view request_id) {
        return {{"message", message},
                {"type", "nomiqon_error"},
                {"param", nullptr},
                {"code", code},
                {"request_id", request_id}};
    }

    /// `model`, `service_tier` and `usage` of a document, a chunk or a response.
    void read_common(const Json& object) {
        if (!object.is_object()) return;
        if (!answer_.ignores_model) {
            if (std::string model = read_name(object, "model"); !model.empty())
                pass_.model = std::move(model);
        }
        if (std::string tier = read_name(object, "service_tier"); !tier.empty() && tier != "auto") {
            pass_.terms.service_tier = tier_in_book(tier);
        }
        read_usage(member(object, "usage"));
    }
    void read_usage(const Json& usage) {
        if (usage.is_object()) {
            counters_.read(usage, reported);
            if (answer_.row->states_cost) {
                if (const auto cost = stated_cost(usage, reported)) reported.stated_cost = cost;
            }
        } else if (!usage.is_null()) {
            reported.unpriced = "the answer's usage is no object";
        }
        publish();  // without a usage, too: for the model's name
    }
    /// Writes what is known now to `reported`.
    void publish() {
        pass_.usage = counters_.usage(reported);
        for (const auto& [item, count] : answer_.items)
            pass_.usage.items[item] += count;
        for (const auto& [item, count] : items_)
            pass_.usage.items[item] += count;
        reported.passes = {pass_};
        reported.usage = counters_.any() || counts_items_;
    }
    void count(const std::string& item, std::int64_t least) {
        std::int64_t& known = items_[item];
        known = std::max(known, least);
    }

    OpenAiAnswer answer_;
    OpenAiCounters counters_;
    std::map<std::string, std::int64_t> items_{};  ///< found in the answer
    bool counts_items_ = false;                    ///< they are all that there is to pay
    Pass pass_{};

  private:
    [[nodiscard]] std::string tier_in_book(const std::string& tier) const {
        const auto found = std::ranges::find(answer_.row->tiers, tier, &OpenAiTier::theirs);
        return found == answer_.row->tiers.end() ? tier : std::string{found->book};
    }
};

class CompletionsReader final : public Reader {
  public:
    using Reader::Reader;

    void document(const Json& answer) override {
        reported.failed = reported.failed || has_substance(member(answer, "error"));
        for (const Json& choice : array_of(answer, "choices"))
            read_choice(choice, "message");
        reported.content = reported.content || has_substance(member(answer, "data"));
        read_common(answer);
        reported.final = reported.usage;
    }

    Event event(std::string_view name, const Json& data) override {
        if (name == "error" || has_substance(member(data, "error"))) reported.failed = true;
        const Json& groq = member(data, "x_groq");
        if (has_substance(member(groq, "error"))) reported.failed = true;
        bool finished = false;
        for (const Json& choice : array_of(data, "choices")) {
            read_choice(choice, "delta");
            finished = finished || has_substance(member(choice, "finish_reason"));
        }
        read_common(data);
        const bool has_usage = member(data, "usage").is_object();
        if (!has_usage) read_usage(member(groq, "usage"));
        const bool empty = member(data, "choices").is_array() && member(data, "choices").empty();
        if (reported.usage && (finished || (has_usage && empty))) reported.final = true;
        return answer_.hides_usage && has_usage && empty ? Event::hide : Event::pass;
    }

  private:
    static const Json& array_of(const Json& object, std::string_view name) {
        static const Json none = Json::array();
        const Json& found = member(object, name);
        return found.is_array() ? found : none;
    }
    /// Whether the choice holds anything that a model made: text, a tool call, reasoning, audio, …
    void read_choice(const Json& choice, std::string_view inner) {
        if (has_substance(member(choice, "text"))) reported.content = true;
        const Json& made = member(choice, inner);
        if (!made.is_object()) return;
        for (const auto& [name, value] : made.items()) {
            if (name != "role" && has_substance(value)) reported.content = true;
        }
    }
};

class ResponsesReader final : public Reader {
  public:
    using Reader::Reader;

    void document(const Json& answer) override {
        read_response(answer);
        reported.final = reported.usage;
    }

    Event event(std::string_view name, const Json& data) override {
        const std::string type = read_name(data, "type");
        const std::string_view kind = type.empty() ? name : std::string_view{type};
        if (kind == "error") {
            reported.failed = true;
        } else if (kind == "response.output_item.added" || kind == "response.output_item.done") {
            reported.content = true;
            if (kind.ends_with("done")) {
                add_item(member(data, "item"), streamed_);
                for (const auto& [item, number] : streamed_)
                    count(item, number);
            }
        } else if (member(data, "response").is_object()) {
            read_response(member(data, "response"));
            const bool last =
                kind == "response.completed" || kind == "response.incomplete" || kind == "response.failed";
            if (last && reported.usage) reported.final = true;
        } else {
            reported.content = true;
        }
        return Event::pass;
    }

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        // The API's own event is flat; the SDKs look for `error` in it.
        const Json data{{"type", "error"},      {"code", code},
                        {"message", message},   {"param", nullptr},
                        {"sequence_number", 0}, {"error", error_of(code, message, request_id)}};
        return "event: error\ndata: " + to_text(data) + "\n\n";
    }

  private:
    void read_response(const Json& response) {
        if (read_name(response, "status") == "failed" || has_substance(member(response, "error"))) {
            reported.failed = true;
        }
        const Json& output = member(response, "output");
        std::map<std::string, std::int64_t> calls;
        containers_.clear();
        if (output.is_array()) {
            reported.content = reported.content || !output.empty();
            for (const Json& item : output)
                add_item(item, calls);
        }
        for (const auto& [item, number] : calls)
            count(item, number);
        read_common(response);
    }

    void add_item(const Json& item, std::map<std::string, std::int64_t>& calls) {
        const std::string tool = tool_of_item(item, answer_.route_fees);
        if (tool.empty()) return;
        // Code runs in a container, which is paid once.
        const std::string container = read_name(item, "container_id");
        if (tool == item_code_interpreter && !container.empty() && !containers_.insert(container).second)
            return;
        ++calls[tool];
    }

    std::map<std::string, std::int64_t> streamed_{};
    std::set<std::string> containers_{};
};

class MediaReader final : public Reader {
  public:
    using Reader::Reader;

    void document(const Json& answer) override {
        reported.failed = reported.failed || has_substance(member(answer, "error"));
        read_made(answer);
        reported.final = reported.usage;
    }

    Event event(std::string_view name, const Json& data) override {
        const std::string type = read_name(data, "type");
        if (name == "error" || type == "error" || has_substance(member(data, "error"))) {
            reported.failed = true;
            return Event::pass;
        }
        reported.content = true;
        read_made(data);
        if (reported.usage) reported.final = true;
        return Event::pass;
    }

  private:
    void read_made(const Json& answer) {
        for (const std::string_view name : {"data", "text", "segments", "words"}) {
            reported.content = reported.content || has_substance(member(answer, name));
        }
        // A drawing's author is another model, at a price of its own.
        if (has_substance(member(answer, "svg_usage")))
            reported.unpriced = "the answer was made by a second model";
        const Json& usage = member(answer, "usage");
        if (read_name(usage, "type") == "duration" || member(usage, "seconds").is_number()) {
            read_seconds(member(usage, "seconds"));
        } else if (usage.is_null() && member(answer, "duration").is_number()) {
            read_seconds(member(answer, "duration"));  // of the audio, as Whisper's long form tells it
        } else {
            read_common(answer);
        }
    }

    void read_seconds(const Json& seconds) {
        constexpr double most = 1e6;
        if (!seconds.is_number() || !(seconds.get<double>() >= 0) || seconds.get<double>() > most) {
            reported.unpriced = "the answer's duration is no sensible number";
            return;
        }
        const auto milliseconds = static_cast<std::int64_t>(std::ceil(seconds.get<double>() * 1000));
        count(std::string{item_audio_in_ms}, std::max(milliseconds, answer_.row->least_audio_ms));
        counts_items_ = true;
        publish();
    }
};

}  // namespace

std::unique_ptr<UsageReader> make_completions_reader(OpenAiAnswer answer) {
    return std::make_unique<CompletionsReader>(std::move(answer));
}

std::unique_ptr<UsageReader> make_responses_reader(OpenAiAnswer answer) {
    return std::make_unique<ResponsesReader>(std::move(answer));
}

std::unique_ptr<UsageReader> make_media_reader(OpenAiAnswer answer) {
    return std::make_unique<MediaReader>(std::move(answer));
}

}  // namespace nomiqon::metering
