#include "anthropic_usage.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

// The Messages API's answers: https://platform.claude.com/docs/en/api/messages and
// …/build-with-claude/streaming.
//
//   message_start        message.usage: what was read; its output_tokens (1, or a few) is a placeholder
//   content_block_*      what was produced
//   message_delta        usage: cumulative; supersedes message_start. With the stop_reason it is the last
//   message_stop, ping   nothing
//   error                the call failed

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// The counters of one pass, as they were last told.
struct Counters {
    std::optional<std::int64_t> input;
    std::optional<std::int64_t> cache_read;
    std::optional<std::int64_t> cache_write;
    std::optional<std::int64_t> write_5m;
    std::optional<std::int64_t> write_1h;
    std::optional<std::int64_t> output;

    void take(const json& usage, Reported& reported) {
        const auto last = [&](std::optional<std::int64_t>& counter, const json& object,
                              std::string_view name) {
            if (const auto value = read_counter(object, name, reported)) counter = value;
        };
        last(input, usage, "input_tokens");
        last(cache_read, usage, "cache_read_input_tokens");
        last(cache_write, usage, "cache_creation_input_tokens");
        last(output, usage, "output_tokens");
        if (const auto kinds = usage.find("cache_creation"); kinds != usage.end() && kinds->is_object()) {
            last(write_5m, *kinds, "ephemeral_5m_input_tokens");
            last(write_1h, *kinds, "ephemeral_1h_input_tokens");
            for (const auto& kind : kinds->items()) {
                const bool known =
                    kind.key() == "ephemeral_5m_input_tokens" || kind.key() == "ephemeral_1h_input_tokens";
                if (!known && kind.value() != 0 && !kind.value().is_null()) {
                    reported.unpriced = "the answer counts a kind of cache that is not known";
                }
            }
        }
    }

    /// Without both of these nothing is known.
    [[nodiscard]] bool told() const { return input && output; }

    [[nodiscard]] Usage usage() const {
        // The total is told again at the end of a stream, its kinds only at the start: what the total has
        // beyond the hour's is of the five minutes.
        const std::int64_t kinds = write_5m.value_or(0) + write_1h.value_or(0);
        const std::int64_t written = cache_write.value_or(kinds);
        const std::int64_t hour = std::min(write_1h.value_or(0), written);
        Usage usage{.input = input.value_or(0), .cache_read = cache_read.value_or(0)};
        usage.cache_write = written - hour;
        usage.cache_write_1h = hour;
        usage.output = output.value_or(0);
        return usage;
    }
};

class AnthropicReader final : public UsageReader {
  public:
    explicit AnthropicReader(AnthropicAsked asked) : asked_(std::move(asked)) {}

    void document(const json& answer) override {
        look_for_failure(answer);
        if (const auto content = answer.find("content"); content != answer.end() && !content->empty()) {
            reported.content = reported.content || !content->is_null();
        }
        take_message(answer);
        publish();
    }

    Event event(std::string_view /*name*/, const json& data) override {
        const std::string type = read_name(data, "type");
        if (type == "message_start") {
            if (const auto message = data.find("message"); message != data.end() && message->is_object()) {
                take_message(*message);
                counters_.output.reset();  // a placeholder
            }
        } else if (type.starts_with("content_block_")) {
            reported.content = true;
        } else if (type == "message_delta") {
            take_usage(data);
            const auto delta = data.find("delta");
            stopped_ = stopped_ || (delta != data.end() && delta->is_object() &&
                                    !read_name(*delta, "stop_reason").empty());
        }
        look_for_failure(data);
        publish();
        return Event::pass;
    }

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        return anthropic_error_event(code, message, request_id);
    }

  private:
    void look_for_failure(const json& answer) {
        const auto error = answer.find("error");
        reported.failed = reported.failed || read_name(answer, "type") == "error" ||
                          (error != answer.end() && error->is_object());
    }

    void take_message(const json& message) {
        if (std::string model = read_name(message, "model"); !model.empty()) model_ = std::move(model);
        take_usage(message);
    }

    void take_usage(const json& holder) {
        const auto usage = holder.find("usage");
        if (usage == holder.end() || usage->is_null()) return;
        if (!usage->is_object()) {
            reported.unpriced = "the answer's usage is no object";
            return;
        }
        counters_.take(*usage, reported);
        take_tools(*usage);
        take_terms(*usage, terms_);
        if (const auto iterations = usage->find("iterations");
            iterations != usage->end() && !iterations->is_null()) {
            take_iterations(*iterations);
        }
    }

    void take_terms(const json& usage, Terms& terms) {
        if (std::string tier = read_name(usage, "service_tier"); !tier.empty())
            terms.service_tier = std::move(tier);
        if (std::string geo = read_name(usage, "inference_geo"); !geo.empty()) terms.region = std::move(geo);
        if (const std::string speed = read_name(usage, "speed"); !speed.empty()) {
            speed_told_ = true;
            terms.fast = speed == "fast";
            if (speed != "fast" && speed != "standard") reported.unpriced = "the answer's speed is not known";
        }
    }

    void take_tools(const json& usage) {
        const auto tools = usage.find("server_tool_use");
        if (tools == usage.end() || !tools->is_object()) return;
        for (const auto& tool : tools->items()) {
            const auto count = read_counter(*tools, tool.key(), reported);
            if (!count) continue;
            std::string_view name = tool.key();
            if (!name.ends_with("_requests")) {
                if (*count > 0) reported.unpriced = "the answer counts a tool that is not known";
                continue;
            }
            name.remove_suffix(std::string_view{"_requests"}.size());
            // Fetches, searches of tools, and code beside them cost tokens only.
            const bool without_fee = name == "web_fetch" || name == "tool_search" || name == "code_execution";
            if (!without_fee || asked_.paid_tools.contains(name)) items_[std::string{name}] = *count;
        }
    }

    /// Each attempt, compaction and advice at its own model. Replaces what was told before.
    void take_iterations(const json& iterations) {
        if (!iterations.is_array()) {
            reported.unpriced = "the answer's iterations are no list";
            return;
        }
        iterations_.clear();
        for (const json& iteration : iterations) {
            if (!iteration.is_object()) {
                reported.unpriced = "one of the answer's iterations is no object";
                continue;
            }
            Counters counters;
            counters.take(iteration, reported);
            if (!counters.told()) reported.unpriced = "one of the answer's iterations lacks its counters";
            Terms terms = terms_;
            take_terms(iteration, terms);
            iterations_.push_back(
                {.model = read_name(iteration, "model"), .terms = terms, .usage = counters.usage()});
        }
    }

    void publish() {
        Pass whole{.model = model_, .terms = terms_, .usage = counters_.usage()};
        reported.passes = iterations_;
        if (reported.passes.empty()) reported.passes.push_back(whole);
        std::int64_t read = 0;
        std::int64_t written = 0;
        for (Pass& pass : reported.passes) {
            if (pass.model.empty()) pass.model = model_;
            if (!speed_told_) pass.terms.fast = asked_.fast;
            read += pass.usage.tokens_read();
            written += pass.usage.tokens_written();
        }
        reported.passes.back().usage.items = items_;
        // Zeros beside content are no use (rule 16).
        reported.usage = counters_.told() && !(reported.content && counters_.output == 0);
        if (reported.usage && (read < whole.usage.tokens_read() || written < whole.usage.tokens_written())) {
            reported.unpriced = "the answer's iterations are less than their sum";
        }
        reported.final = stopped_ && reported.usage;
    }

    AnthropicAsked asked_;
    std::string model_{};
    Counters counters_{};
    Terms terms_{};
    bool speed_told_ = false;
    bool stopped_ = false;
    std::vector<Pass> iterations_{};
    std::map<std::string, std::int64_t> items_{};
};

}  // namespace

std::unique_ptr<UsageReader> make_anthropic_reader(AnthropicAsked asked) {
    return std::make_unique<AnthropicReader>(std::move(asked));
}

std::string anthropic_error_event(std::string_view code, std::string_view message,
                                  std::string_view request_id) {
    const json data{
        {"type", "error"}, {"error", {{"type", code}, {"message", message}}}, {"request_id", request_id}};
    return "event: error\ndata: " + data.dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
}

}  // namespace nomiqon::metering
