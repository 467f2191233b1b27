#include "openai_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "text_tokens.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t frame =
    16;  // tokens around a message, an item or a part, whatever JSON frames it with

std::int64_t size_of(std::string_view text) {
    return static_cast<std::int64_t>(text.size());
}

const Json& member(const Json& object, std::string_view name) {
    static const Json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(name);
    return found == object.end() ? nothing : *found;
}

std::string_view text_member(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    return value.is_string() ? std::string_view{value.get_ref<const std::string&>()} : std::string_view{};
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

void read_image(const Json& part, OpenAiReading& reading) {
    // chat: {"image_url": {"url", "detail"}}; responses: {"image_url": "…", "detail"}.
    const Json& inner = member(part, "image_url");
    const std::string_view detail = text_member(inner.is_object() ? inner : part, "detail");
    ++(is_one_of(detail, {"low", "high"}) ? reading.images : reading.large_images);
}

void read_around(const Json& object, std::initializer_list<std::string_view> names, OpenAiReading& reading);

/// One part of a content that is an array.
void read_part(const Json& part, OpenAiReading& reading) {
    reading.text += frame;
    if (part.is_string()) {
        reading.text += text_tokens(part.get_ref<const std::string&>());
        return;
    }
    const std::string_view type = text_member(part, "type");
    if (is_one_of(type, {"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text",
                         "thinking"})) {
        read_around(part, {"text", "refusal", "thinking"}, reading);
    } else if (is_one_of(type, {"image_url", "input_image", "image", "computer_screenshot"})) {
        read_image(part, reading);
    } else {
        // Files and videos; and parts that we don't know may be either.
        reading.audio |= is_one_of(type, {"input_audio", "audio", "audio_url"});
        reading.opaque = true;
    }
}

void read_content(const Json& content, OpenAiReading& reading) {
    if (content.is_string()) {
        reading.text += text_tokens(content.get_ref<const std::string&>());
    } else if (content.is_array()) {
        for (const Json& part : content)
            read_part(part, reading);
    } else {
        reading.text += rendered_tokens(content);
    }
}

/// Every member of `object` but `content`'s, which stands under one of `names`.
void read_around(const Json& object, std::initializer_list<std::string_view> names, OpenAiReading& reading) {
    reading.text += frame;
    for (const auto& [name, value] : object.items()) {
        if (is_one_of(name, names)) {
            read_content(value, reading);
        } else {
            reading.text += size_of(name) + 3 + rendered_tokens(value);
        }
    }
}

/// Items whose text is all there. The others stand for something that the provider has kept (an
/// `item_reference`, what a search found), or are of a kind that we don't know.
bool is_whole(const Json& item, std::string_view type) {
    if (type == "reasoning" || type == "compaction") {
        // Encrypted, it is the text itself, and longer; with an id alone the provider looks it up.
        return !text_member(item, "encrypted_content").empty() ||
               (type == "reasoning" && !item.contains("id"));
    }
    return is_one_of(type, {"", "message", "function_call", "function_call_output", "custom_tool_call",
                            "custom_tool_call_output", "local_shell_call", "local_shell_call_output",
                            "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
                            "computer_call", "computer_call_output", "mcp_list_tools", "mcp_call",
                            "mcp_approval_request", "mcp_approval_response"});
}

}  // namespace

std::int64_t rendered_tokens(const Json& value) {
    return json_tokens(value, /*escaped=*/true);
}

void read_messages(const Json& messages, OpenAiReading& reading) {
    if (!messages.is_array()) {
        reading.text += rendered_tokens(messages);
        return;
    }
    for (const Json& message : messages) {
        if (!message.is_object()) {
            reading.text += rendered_tokens(message);
            continue;
        }
        // An earlier answer's audio goes by its id.
        const Json& audio = member(message, "audio");
        reading.audio |= !audio.is_null();
        reading.opaque |= !audio.is_null();
        read_around(message, {"content"}, reading);
    }
}

void read_items(const Json& input, OpenAiReading& reading) {
    if (!input.is_array()) return read_content(input, reading);
    for (const Json& item : input) {
        const std::string_view type = text_member(item, "type");
        if (!item.is_object() || !is_whole(item, type)) {
            reading.opaque = true;
        } else if (type == "computer_call_output") {
            reading.text += frame;
            read_image(member(item, "output"), reading);
        } else {
            read_around(item, {"content", "output"}, reading);
        }
    }
}

bool read_prompts(const Json& input, std::int64_t most, std::int64_t& tokens, std::int64_t& texts) {
    const auto add = [&](std::int64_t count) {
        tokens += std::min(most, count + frame);
        ++texts;
    };
    const auto are_tokens = [](const Json& list) {
        return list.is_array() && !list.empty() &&
               std::ranges::all_of(list, [](const Json& token) { return token.is_number_unsigned(); });
    };
    if (input.is_string()) {
        add(text_tokens(input.get_ref<const std::string&>()));
        return true;
    }
    if (are_tokens(input)) {
        add(static_cast<std::int64_t>(input.size()));
        return true;
    }
    if (!input.is_array() || input.empty()) return false;
    for (const Json& one : input) {
        if (one.is_string()) {
            add(text_tokens(one.get_ref<const std::string&>()));
        } else if (are_tokens(one)) {
            add(static_cast<std::int64_t>(one.size()));
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace nomiqon::metering
