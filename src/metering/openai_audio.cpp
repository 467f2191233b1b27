// Transcriptions and translations of audio: OpenAI's and Groq's references, November 2026.

#include "openai_audio.h"

#include <algorithm>

#include "items.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

// No codec that is taken makes fewer bytes of a second of speech (rule 13): 4 kbit/s.
constexpr std::int64_t bytes_per_second = 500;

std::int64_t milliseconds(const OpenAiRequest& request, const Form& form) {
    const auto bytes = static_cast<std::int64_t>(std::min<std::size_t>(form.file_bytes, most_tokens));
    return std::max({std::int64_t{1000}, request.row.least_audio_ms, bytes * 1000 / bytes_per_second + 1});
}

}  // namespace

std::expected<OpenAiPlan, Refusal> plan_transcription(const OpenAiRequest& request, const Form& form) {
    if (form.find("url"))
        return std::unexpected(price_unknown("the provider fetches the audio from elsewhere"));
    OpenAiPlan plan{.make_reader = make_media_reader};
    const ModelPrice& price = request.price;
    if (!price.has_rate(Counter::input) && !price.has_rate(Counter::input_audio)) {
        plan.bound.items[std::string{item_audio_in_ms}] = milliseconds(request, form);
    } else {
        const auto window = price.max_input_tokens();
        const auto most = price.max_output_tokens();
        if (!window || !most)
            return std::unexpected(price_unknown("nothing limits how long the audio may be"));
        plan.bound.input = *window;
        plan.bound.audio_in = price.has_rate(Counter::input_audio);
        plan.bound.text_in = price.has_rate(Counter::input);
        plan.output = *most;
    }
    // These are answered as bare text, which tells no use.
    const std::string_view format = form.find("response_format").value_or("json");
    plan.flat = format == "text" || format == "srt" || format == "vtt";
    return plan;
}

}  // namespace nomiqon::metering
