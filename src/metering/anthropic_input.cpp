#include "anthropic_input.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "text_tokens.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// Pictures are scaled down by the provider. Models up to Opus 4.6 and Haiku 4.5 read at most about 1,600
/// tokens of one (1568 pixels on its long edge), later ones 4,784 (2576 pixels); with a margin.
constexpr std::int64_t small_picture = 1'700;
constexpr std::int64_t large_picture = 5'000;
constexpr std::array<std::string_view, 9> small_picture_models{
    "claude-3",        "claude-opus-4-0",   "claude-opus-4-1",   "claude-opus-4-2025", "claude-opus-4-5",
    "claude-opus-4-6", "claude-sonnet-4-0", "claude-sonnet-4-2", "claude-haiku-4-5"};

/// The system text that comes with any tool: at most 530 tokens in the provider's table; with a margin.
constexpr std::int64_t tool_prompt = 900;
constexpr std::int64_t schema_prompt = 1'000;  ///< for structured output
constexpr std::int64_t base_prompt = 200;
constexpr std::int64_t message_frame = 8;
/// Around a document whose text stands in the request: its title, and places for citations.
constexpr std::int64_t document_frame = 200;

/// Whether, and for how long, any part of the request asks for caching. A `cache_control` that is only text
/// in a tool's input counts too: the dearer reading.
void find_caching(const json& value, AnthropicInput& input) {
    if (!value.is_structured()) return;
    for (const auto& item : value.items()) {
        if (value.is_object() && (item.key() == "cache_control" || item.key() == "caching") &&
            item.value().is_object()) {
            input.caches = true;
            const auto ttl = item.value().find("ttl");
            input.caches_hour = input.caches_hour || (ttl != item.value().end() && *ttl != "5m");
        }
        find_caching(item.value(), input);
    }
}

std::string_view string_of(const json& object, std::string_view name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string()
               ? std::string_view{found->get_ref<const std::string&>()}
               : std::string_view{};
}

/// Walks content blocks where the provider reads them as such; everywhere else a "picture" is text.
class Measure {
  public:
    explicit Measure(std::string_view model)
        : picture_(
              std::ranges::any_of(small_picture_models, [&](auto name) { return model.starts_with(name); })
                  ? small_picture
                  : large_picture) {}

    void content(const json& value) {
        if (!value.is_array()) return text(value);
        for (const json& block : value)
            this->block(block);
    }
    void messages(const json& value) {
        if (!value.is_array()) return text(value);
        for (const json& message : value) {
            input.tokens += message_frame;
            nested(message);
        }
    }
    void text(const json& value, bool escaped = false) { input.tokens += json_tokens(value, escaped); }

    AnthropicInput input{};

  private:
    void block(const json& block) {
        const std::string_view type = block.is_object() ? string_of(block, "type") : std::string_view{};
        if (type == "image") return picture(block);
        if (type == "document") return document(block);
        if (type == "tool_use" || type == "server_tool_use" || type == "mcp_tool_use" ||
            type == "tool_addition") {
            return text(block, true);
        }
        for (const std::string_view with_content : {"tool_result", "mcp_tool_result", "mid_conv_system"}) {
            if (type == with_content) return nested(block);
        }
        for (const std::string_view readable :
             {"text", "thinking", "redacted_thinking", "web_search_tool_result", "search_result",
              "compaction", "fallback", "code_execution_tool_result", "bash_code_execution_tool_result",
              "text_editor_code_execution_tool_result", "tool_search_tool_result", "advisor_tool_result",
              "tool_reference", "tool_removal"}) {
            if (type == readable) return text(block);
        }
        // Another kind: a file of a container, a fetched page that may be a PDF, what is new.
        input.unmeasured = true;
    }

    void nested(const json& block) {
        if (!block.is_object()) return text(block);
        for (const auto& item : block.items()) {
            if (item.key() == "content") {
                content(item.value());
            } else {
                text(item.value());
            }
        }
    }

    void picture(const json& block) {
        const auto source = block.find("source");
        const bool here =
            source != block.end() && source->is_object() && string_of(*source, "type") == "base64";
        input.unmeasured = input.unmeasured || !here;
        input.tokens += picture_;
    }

    void document(const json& block) {
        const auto source = block.find("source");
        const std::string_view type =
            source != block.end() && source->is_object() ? string_of(*source, "type") : std::string_view{};
        input.tokens += document_frame;
        for (const std::string_view name : {"title", "context"}) {
            if (const auto found = block.find(name); found != block.end()) text(*found);
        }
        if (type == "text" && source->contains("data")) return text(source->at("data"));
        if (type == "content" && source->contains("content")) return content(source->at("content"));
        input.unmeasured = true;
    }

    std::int64_t picture_;
};

}  // namespace

AnthropicInput measure_anthropic_input(const json& body, std::string_view model) {
    Measure measure{model};
    measure.input.tokens = base_prompt;
    for (const auto& item : body.items()) {
        const std::string& name = item.key();
        const json& value = item.value();
        if (name == "messages") measure.messages(value);
        if (name == "system") measure.content(value);
        if (name == "tools" && !value.empty()) measure.input.tokens += tool_prompt;
        if (name == "tools" || name == "tool_choice") measure.text(value, true);
        if (name == "output_config" || name == "output_format") {
            measure.input.tokens += schema_prompt;
            measure.text(value, true);
        }
        if (name == "container" && !value.is_null()) measure.input.unmeasured = true;
    }
    find_caching(body, measure.input);
    return measure.input;
}

}  // namespace nomiqon::metering
