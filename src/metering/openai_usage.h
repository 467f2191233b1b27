#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "nomiqon/core/usdc.h"
#include "usage_reader.h"

namespace nomiqon::metering {

/// The counters of OpenAI's `usage`, in both of its forms (`prompt_tokens` and `completion_tokens`;
/// `input_tokens` and `output_tokens`) and with what compatible providers add. The last word of each counts;
/// one that falls is no reason to charge less (rule 15).
class OpenAiCounters {
  public:
    /// What output is, where the answer doesn't say it.
    enum class Writes : std::uint8_t { text, audio, images };
    explicit OpenAiCounters(Writes writes) : writes_(writes) {}

    void read(const nlohmann::json& usage, Reported& reported);
    [[nodiscard]] bool any() const { return input_ || output_ || total_; }
    /// Every token in one counter. What contradicts itself is told in `reported.unpriced`, and counts in
    /// full.
    [[nodiscard]] Usage usage(Reported& reported) const;

  private:
    using Count = std::optional<std::int64_t>;
    void read_input_details(const nlohmann::json& details, Reported& reported);
    void read_output_details(const nlohmann::json& details, Reported& reported);

    Writes writes_;
    Count input_{}, output_{}, total_{};
    Count cached_{}, written_{}, written_12h_{}, input_audio_{}, input_image_{}, input_video_{};
    Count reasoning_{}, output_audio_{}, output_image_{};
};

/// OpenRouter's own figure: `cost`, and what the provider behind it took where the key was the caller's.
/// Nothing: it states none.
[[nodiscard]] std::optional<Usdc> stated_cost(const nlohmann::json& usage, Reported& reported);

}  // namespace nomiqon::metering
