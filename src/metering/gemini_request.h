#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "nomiqon/core/refusal.h"

// Requests of the Gemini API. Google reads each name in lowerCamelCase and in the snake_case of its protocol
// buffers (https://protobuf.dev/programming-guides/json/), and a single value where a list is due; so does
// this.

namespace nomiqon::metering {

/// The member of that lowerCamelCase name, in either form; null: it is absent or JSON's null. `object` need
/// not be one.
[[nodiscard]] const nlohmann::json* gemini_member(const nlohmann::json& object, std::string_view camel);
/// Refuses a name that could be taken for one of these, or that stands there in both forms (rule 6).
[[nodiscard]] std::expected<void, Refusal> check_gemini_names(const nlohmann::json& object,
                                                              std::initializer_list<std::string_view> camel);
/// Each element of a list, or the one value that stands for it; null: none.
void each_gemini_value(const nlohmann::json* list, const std::function<void(const nlohmann::json&)>& look);
/// `name` in lowerCamelCase.
[[nodiscard]] std::string to_camel(std::string_view name);

/// What a request gives the model to read, at most (rule 9).
struct GeminiInput {
    std::int64_t text = 0;
    std::int64_t pictures = 0;  ///< tokens of pictures
    /// Something in it can't be measured from here (audio, video, a PDF, a file, a cache): the model's whole
    /// window.
    bool unmeasured = false;
};

/// Of `contents` and `systemInstruction`, or an embedding's `content` and `title`. Refusal: `bad_request`.
[[nodiscard]] std::expected<GeminiInput, Refusal> measure_gemini_input(const nlohmann::json& request,
                                                                       std::string_view model);

}  // namespace nomiqon::metering
