#include "openai_usage.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "rate.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;
using Count = std::optional<std::int64_t>;

void complain(Reported& reported, std::string problem) {
    if (reported.unpriced.empty()) reported.unpriced = std::move(problem);
}

/// Of a counter that only adds to the cost: a later, smaller word doesn't take back an earlier one.
void raise(Count& counter, Count value, Reported& reported) {
    if (!value) return;
    if (counter && *value < *counter) {
        complain(reported, "a counter of the answer went down");
        return;
    }
    counter = value;
}

void replace(Count& counter, Count value) {
    if (value) counter = value;
}

Count first_of(const Json& object, std::initializer_list<std::string_view> names, Reported& reported) {
    for (const std::string_view name : names) {
        if (const Count value = read_counter(object, name, reported)) return value;
    }
    return std::nullopt;
}

/// Counters that we don't know may have a price that we don't know.
void check_known(const Json& object, std::span<const std::string_view> known, Reported& reported) {
    for (const auto& [name, value] : object.items()) {
        if (!name.ends_with("_tokens") || std::ranges::find(known, name) != known.end()) continue;
        const bool zero = value.is_null() || (value.is_number() && value == 0);
        if (!zero) complain(reported, "the answer has a counter that is not known: " + name.substr(0, 64));
    }
}

const Json* find_object(const Json& object, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        const auto found = object.find(name);
        if (found != object.end() && found->is_object()) return &*found;
    }
    return nullptr;
}

/// Takes `wanted` out of what is `left`; what isn't left can't have been.
std::int64_t take(std::int64_t& left, const Count& wanted) {
    const std::int64_t taken = std::min(left, wanted.value_or(0));
    left -= taken;
    return taken;
}

std::optional<Rate> read_cost(const Json& object, std::string_view name, Reported& reported) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return std::nullopt;
    const auto cost = found->is_number() ? parse_rate(found->dump()) : std::nullopt;
    if (!cost) complain(reported, "the answer's own cost is no sensible number");
    return cost;
}

}  // namespace

void OpenAiCounters::read(const Json& usage, Reported& reported) {
    constexpr auto known = std::to_array<std::string_view>(
        {"prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens",
         "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "num_cached_tokens", "cached_tokens",
         "reasoning_tokens"});
    raise(input_, first_of(usage, {"prompt_tokens", "input_tokens"}, reported), reported);
    raise(output_, first_of(usage, {"completion_tokens", "output_tokens"}, reported), reported);
    raise(total_, read_counter(usage, "total_tokens", reported), reported);
    // DeepSeek, Mistral and Together beside the totals; OpenAI and the others in the details, which are the
    // last word.
    replace(cached_,
            first_of(usage, {"prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"}, reported));
    replace(reasoning_, read_counter(usage, "reasoning_tokens", reported));
    if (const Json* details =
            find_object(usage, {"prompt_tokens_details", "input_tokens_details", "input_token_details"})) {
        read_input_details(*details, reported);
    }
    if (const Json* details = find_object(
            usage, {"completion_tokens_details", "output_tokens_details", "output_token_details"})) {
        read_output_details(*details, reported);
    }
    check_known(usage, known, reported);
}

void OpenAiCounters::read_input_details(const Json& details, Reported& reported) {
    constexpr auto known =
        std::to_array<std::string_view>({"cached_tokens", "cache_write_tokens", "audio_tokens",
                                         "image_tokens", "video_tokens", "text_tokens"});
    replace(cached_, read_counter(details, "cached_tokens", reported));
    replace(written_, read_counter(details, "cache_write_tokens", reported));
    replace(input_audio_, read_counter(details, "audio_tokens", reported));
    replace(input_image_, read_counter(details, "image_tokens", reported));
    replace(input_video_, read_counter(details, "video_tokens", reported));
    if (const Json* lifetimes = find_object(details, {"cache_write_tokens_details"})) {
        constexpr auto known_lifetimes =
            std::to_array<std::string_view>({"ttl_30m_tokens", "ttl_12h_tokens"});
        replace(written_12h_, read_counter(*lifetimes, "ttl_12h_tokens", reported));
        check_known(*lifetimes, known_lifetimes, reported);
    }
    check_known(details, known, reported);
}

void OpenAiCounters::read_output_details(const Json& details, Reported& reported) {
    // Tokens of a prediction, accepted or not, are within the output.
    constexpr auto known =
        std::to_array<std::string_view>({"reasoning_tokens", "audio_tokens", "image_tokens", "text_tokens",
                                         "accepted_prediction_tokens", "rejected_prediction_tokens"});
    replace(reasoning_, read_counter(details, "reasoning_tokens", reported));
    replace(output_audio_, read_counter(details, "audio_tokens", reported));
    replace(output_image_, read_counter(details, "image_tokens", reported));
    check_known(details, known, reported);
}

Usage OpenAiCounters::usage(Reported& reported) const {
    const std::int64_t total = total_.value_or(0);
    const std::int64_t read = input_.value_or(std::max<std::int64_t>(0, total - output_.value_or(0)));
    // Some leave reasoning out of the output, but not out of the total (rule 15).
    const std::int64_t written = std::max({output_.value_or(0), total - read, reasoning_.value_or(0)});
    if (cached_.value_or(0) > read || written_.value_or(0) > read || written_12h_.value_or(0) > read) {
        complain(reported, "the answer counts more tokens of a cache than it read");
    }

    Usage usage;
    std::int64_t left = read;
    usage.input_audio = take(left, input_audio_);
    usage.input_image = take(left, input_image_);
    usage.input_video = take(left, input_video_);
    usage.cache_write_12h = take(left, written_12h_);
    usage.cache_write =
        take(left, Count{std::max<std::int64_t>(0, written_.value_or(0) - usage.cache_write_12h)});
    // Cheaper than what it replaces, so only where it makes sense.
    if (cached_.value_or(0) <= read) usage.cache_read = take(left, cached_);
    usage.input = left;

    left = written;
    usage.output_audio = take(left, output_audio_);
    usage.output_image = take(left, output_image_);
    usage.output_reasoning = take(left, reasoning_);
    const bool told = output_audio_ || output_image_;
    if (writes_ == Writes::audio && !told) {
        usage.output_audio = left;
    } else if (writes_ == Writes::images && !told) {
        usage.output_image = left;
    } else {
        usage.output = left;
    }
    return usage;
}

std::optional<Usdc> stated_cost(const Json& usage, Reported& reported) {
    const auto cost = read_cost(usage, "cost", reported);
    if (!cost) return std::nullopt;
    Wide sum = cost->units;
    const auto own_key = usage.find("is_byok");
    const Json* details = find_object(usage, {"cost_details"});
    // Without the caller's own key, what the provider took is within `cost` already.
    if (details != nullptr && !(own_key != usage.end() && *own_key == false)) {
        if (const auto upstream = read_cost(*details, "upstream_inference_cost", reported))
            sum += upstream->units;
    }
    const auto total = to_usdc(sum);
    if (!total) complain(reported, "the answer's own cost is no sensible number");
    return total;
}

}  // namespace nomiqon::metering
