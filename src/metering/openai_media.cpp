// Embeddings, pictures and speech: OpenAI's references, November 2026.

#include <algorithm>
#include <charconv>

#include "items.h"
#include "openai_models.h"
#include "openai_plan.h"
#include "openai_text.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

/// Whole code points, as speech is paid by characters.
std::int64_t characters(std::string_view text) {
    return std::ranges::count_if(text,
                                 [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; });
}

/// `1024x1792`; 0: it is none, or more than a picture has.
std::int64_t pixels(std::string_view size) {
    if (size.empty()) size = "1024x1024";
    const auto cross = size.find('x');
    if (cross == std::string_view::npos || cross > 5 || size.size() - cross > 6) return 0;
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::from_chars(size.data(), size.data() + cross, width);
    std::from_chars(size.data() + cross + 1, size.data() + size.size(), height);
    return std::max<std::int64_t>(0, width) * std::max<std::int64_t>(0, height);
}

/// Pictures paid by themselves or by their pixels, where they aren't by their tokens. False: they are.
bool plan_by_picture(const OpenAiRequest& request, std::int64_t count, OpenAiPlan& plan) {
    if (request.price.has_rate(Counter::output_image)) return false;
    const std::int64_t each = pixels(request_text(request.document, "size"));
    if (request.price.has_item(item_images_out)) {
        plan.bound.items[std::string{item_images_out}] = count;
    } else if (request.price.has_item(item_pixels) && each > 0 && count < most_tokens) {
        plan.bound.items[std::string{item_pixels}] = count * each;
    } else {
        return false;
    }
    plan.flat = true;
    return true;
}

}  // namespace

std::expected<OpenAiPlan, Refusal> plan_embeddings(const OpenAiRequest& request) {
    OpenAiPlan plan{.make_reader = make_completions_reader};
    const std::int64_t window = request.price.max_input_tokens().value_or(most_tokens);
    std::int64_t texts = 0;
    if (!read_prompts(request_member(request.document, "input"), window, plan.bound.input, texts)) {
        return std::unexpected(bad_request("input is neither a text nor tokens"));
    }
    plan.bound.cached = false;
    plan.bound.reasoning_out = false;
    return plan;
}

std::expected<OpenAiPlan, Refusal> plan_images(const OpenAiRequest& request) {
    const Json& document = request.document;
    OpenAiPlan plan{.make_reader = make_media_reader};
    plan.answer.writes = OpenAiCounters::Writes::images;
    const auto count = request_count(document, "n");
    if (!count) return std::unexpected(count.error());
    if (plan_by_picture(request, *count, plan)) return plan;
    if (request_text(document, "output_format") == "svg" || !request_member(document, "svg").is_null()) {
        return std::unexpected(price_unknown("a drawing is written by a second model"));
    }
    if (request_text(document, "output_format") == "gif") {
        return std::unexpected(price_unknown("nothing tells what the frames of an animation cost"));
    }
    const auto of_one = picture_tokens_written(request.model, request_text(document, "size"),
                                               request_text(document, "quality"));
    const auto most = of_one ? of_one : request.price.max_output_tokens();
    if (!most)
        return std::unexpected(price_unknown("nothing tells how many tokens a picture of this model has"));
    constexpr std::int64_t most_partial = 3;  // a hundred tokens each
    plan.output = *most + most_partial * 100;
    plan.outputs = *count;
    const std::int64_t text = other_text(document, {}) + request.row.base_tokens;
    // Each picture is made of the text again.
    if (__builtin_mul_overflow(std::min(text, request.price.max_input_tokens().value_or(most_tokens)), *count,
                               &plan.bound.input)) {
        return std::unexpected(bad_request("n is no sensible number"));
    }
    plan.bound.image_out = true;
    plan.bound.reasoning_out = false;
    plan.bound.text_out = request.price.has_rate(Counter::output);
    return plan;
}

std::expected<OpenAiPlan, Refusal> plan_speech(const OpenAiRequest& request) {
    const Json& document = request.document;
    const std::string_view text = request_text(document, "input");
    OpenAiPlan plan{.make_reader = make_media_reader};
    if (request.price.has_item(item_characters_in)) {
        plan.bound.items[std::string{item_characters_in}] = characters(text);
        plan.flat = true;
        return plan;
    }
    const auto most = request.price.max_output_tokens();
    if (!most) return std::unexpected(price_unknown("nothing limits how long the speech of this model is"));
    plan.output = *most;
    plan.bound.input = std::min(request.price.max_input_tokens().value_or(most_tokens),
                                other_text(document, {}) + request.row.base_tokens);
    plan.bound.audio_out = true;
    plan.bound.reasoning_out = false;
    plan.bound.text_out = request.price.has_rate(Counter::output);
    plan.answer.writes = OpenAiCounters::Writes::audio;
    plan.flat = request_text(document, "stream_format") != "sse";  // else the answer is nothing but audio
    return plan;
}

}  // namespace nomiqon::metering
