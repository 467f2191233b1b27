#include "gemini_request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "request_reader.h"
#include "text_tokens.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// Gemini 3 and later read a picture as 2,240 tokens at most (`ultra_high`); 2.5 as 256 and about 2,048 of a
/// closer look; 2.0 and 1.5 as 258 for each tile of 768 pixels of at most 3,072 × 3,072. With a margin.
constexpr std::int64_t picture = 2'600;
constexpr std::int64_t tiled_picture = 4'500;
constexpr std::int64_t base_prompt = 200;
constexpr std::int64_t frame = 8;  ///< around a content or a part

constexpr auto picture_types = std::to_array<std::string_view>(
    {"image/png", "image/jpeg", "image/jpg", "image/webp", "image/heic", "image/heif"});

std::string to_snake(std::string_view camel) {
    std::string snake;
    for (const char c : camel) {
        const bool capital = c >= 'A' && c <= 'Z';
        if (capital) snake += '_';
        snake += capital ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return snake;
}

class Measure {
  public:
    explicit Measure(std::string_view model)
        : picture_(model.starts_with("gemini-1") || model.starts_with("gemini-2.0") ? tiled_picture
                                                                                    : picture) {}

    void content(const json& content) {
        input.text += frame;
        if (!content.is_object()) return text(content);
        check(content, {"parts", "role"});
        each_gemini_value(gemini_member(content, "parts"), [this](const json& part) { this->part(part); });
    }
    void text(const json& value, bool escaped = false) { input.text += json_tokens(value, escaped); }
    void check(const json& object, std::initializer_list<std::string_view> names) {
        if (auto checked = check_gemini_names(object, names); !checked && problem) problem = checked;
    }

    GeminiInput input{};
    std::expected<void, Refusal> problem{};

  private:
    void part(const json& part) {
        input.text += frame;
        if (!part.is_object()) return text(part);
        check(part, {"text", "inlineData", "fileData", "functionCall", "functionResponse", "toolCall",
                     "toolResponse"});
        for (const auto& item : part.items()) {
            const std::string name = to_camel(item.key());
            if (name == "inlineData") {
                inline_data(item.value());
            } else if (name == "functionResponse") {
                function_response(item.value());
            } else if (name == "functionCall" || name == "executableCode" || name == "codeExecutionResult") {
                text(item.value(), true);
            } else if (name == "text" || name == "thought" || name == "thoughtSignature" ||
                       name == "mediaResolution") {
                text(item.value());
            } else {
                input.unmeasured = true;  // a file, or what is new
            }
        }
    }

    void inline_data(const json& data) {
        check(data, {"mimeType", "data"});
        const json* type = gemini_member(data, "mimeType");
        const bool known =
            type != nullptr && type->is_string() &&
            std::ranges::find(picture_types, type->get_ref<const std::string&>()) != picture_types.end();
        input.pictures += picture_;
        input.unmeasured = input.unmeasured || !known;
    }

    /// May have parts with pictures of its own.
    void function_response(const json& response) {
        if (!response.is_object()) return text(response);
        check(response, {"parts", "response", "name", "id"});
        for (const auto& item : response.items()) {
            if (item.key() == "parts") {
                each_gemini_value(&item.value(), [this](const json& part) { this->part(part); });
            } else {
                text(item.value(), true);
            }
        }
    }

    std::int64_t picture_;
};

}  // namespace

std::string to_camel(std::string_view name) {
    std::string camel;
    bool capital = false;
    for (const char c : name) {
        if (c == '_') {
            capital = true;
            continue;
        }
        camel += capital && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        capital = false;
    }
    return camel;
}

const json* gemini_member(const json& object, std::string_view camel) {
    if (!object.is_object()) return nullptr;
    auto found = object.find(camel);
    if (found == object.end()) found = object.find(to_snake(camel));
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::expected<void, Refusal> check_gemini_names(const json& object,
                                                std::initializer_list<std::string_view> camel) {
    std::vector<std::string> forms;
    for (const std::string_view name : camel) {
        forms.emplace_back(name);
        forms.push_back(to_snake(name));
    }
    std::vector<std::string_view> names(forms.begin(), forms.end());
    // A name of one word is the same in both forms.
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return check_spelling(object, names);
}

void each_gemini_value(const json* list, const std::function<void(const json&)>& look) {
    if (list == nullptr) return;
    if (!list->is_array()) return look(*list);
    for (const json& value : *list)
        look(value);
}

std::expected<GeminiInput, Refusal> measure_gemini_input(const json& request, std::string_view model) {
    Measure measure{model};
    measure.input.text = base_prompt;
    for (const std::string_view name : {"contents", "systemInstruction", "content"}) {
        each_gemini_value(gemini_member(request, name),
                          [&](const json& content) { measure.content(content); });
    }
    for (const std::string_view name : {"title"}) {
        if (const json* text = gemini_member(request, name)) measure.text(*text);
    }
    for (const std::string_view name : {"tools", "toolConfig", "generationConfig"}) {
        if (const json* text = gemini_member(request, name)) measure.text(*text, true);
    }
    measure.input.unmeasured = measure.input.unmeasured || gemini_member(request, "cachedContent") != nullptr;
    if (!measure.problem) return std::unexpected(measure.problem.error());
    return measure.input;
}

}  // namespace nomiqon::metering
