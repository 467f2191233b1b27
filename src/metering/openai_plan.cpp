#include "openai_plan.h"

#include <algorithm>
#include <limits>

#include "openai_models.h"
#include "request_reader.h"

namespace nomiqon::metering {

using Json = nlohmann::json;

namespace {

/// Tokens of all pictures; nothing: some model's maximum isn't known, or W has to do.
std::optional<std::int64_t> picture_tokens(const OpenAiRequest& request, const OpenAiReading& reading) {
    const auto each = [&](bool large) -> std::optional<std::int64_t> {
        if (request.row.image_tokens > 0) return request.row.image_tokens;
        return picture_tokens_read(request.model, large);
    };
    const auto small = each(false);
    const auto large = each(true);
    if (reading.images + reading.large_images == 0) return 0;
    if (!small || !large) return std::nullopt;
    return reading.images * *small + reading.large_images * *large;
}

}  // namespace

OpenAiBound OpenAiPlan::bound_at(std::optional<std::int64_t> tokens) const {
    OpenAiBound whole = bound;
    const std::int64_t each = tokens ? *tokens : limit ? limit->tokens : output;
    if (__builtin_mul_overflow(each, outputs, &whole.output) ||
        __builtin_add_overflow(whole.output, more_output, &whole.output)) {
        whole.output = std::numeric_limits<std::int64_t>::max();  // no price holds it, so it is refused
    }
    return whole;
}

const Json& request_member(const Json& object, std::string_view name) {
    static const Json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(name);
    return found == object.end() ? nothing : *found;
}

std::string_view request_text(const Json& object, std::string_view name) {
    const Json& value = request_member(object, name);
    return value.is_string() ? std::string_view{value.get_ref<const std::string&>()} : std::string_view{};
}

std::expected<bool, Refusal> request_flag(const Json& object, std::string_view name) {
    const Json& value = request_member(object, name);
    if (value.is_null()) return false;
    if (!value.is_boolean()) return std::unexpected(bad_request(std::string{name} + " is no boolean"));
    return value.get<bool>();
}

std::expected<std::int64_t, Refusal> request_count(const Json& object, std::string_view name) {
    const auto given = read_limit(object, name);
    if (!given) return std::unexpected(given.error());
    return std::max<std::int64_t>(1, given->value_or(1));
}

std::expected<void, Refusal> read_output_limit(const OpenAiRequest& request,
                                               std::span<const std::string_view> names,
                                               std::string_view member, OpenAiPlan& plan) {
    OpenAiLimit limit{.member = member};
    std::optional<std::int64_t> asked;
    for (const std::string_view name : names) {
        const auto given = read_limit(request.document, name);
        if (!given) return std::unexpected(given.error());
        if (!given->has_value()) continue;
        limit.given.push_back(name);
        asked = std::max(asked.value_or(0), **given);  // which of them counts, we don't know
    }
    const auto most = request.price.max_output_tokens();
    const bool holds = request.row.reasoning_inside;
    if (!most && !(asked && holds)) {
        return std::unexpected(price_unknown("neither request nor price book limits the output"));
    }
    plan.output = most.value_or(0);
    if (!holds) return {};
    // 0 is refused by the provider, or means none: never less than one token.
    limit.tokens =
        std::min(asked && *asked > 0 ? *asked : most.value_or(most_tokens), most.value_or(most_tokens));
    plan.limit = std::move(limit);
    return {};
}

std::int64_t other_text(const Json& document, std::initializer_list<std::string_view> read_before) {
    std::int64_t tokens = 0;
    for (const auto& [name, value] : document.items()) {
        if (std::ranges::find(read_before, name) != read_before.end()) continue;
        tokens += static_cast<std::int64_t>(name.size()) + 4 + rendered_tokens(value);
    }
    return tokens;
}

std::expected<std::int64_t, Refusal> input_tokens(const OpenAiRequest& request, const OpenAiReading& reading,
                                                  std::int64_t text) {
    const auto window = request.price.max_input_tokens();
    const auto pictures = picture_tokens(request, reading);
    if (reading.opaque || !pictures) {
        if (window) return *window;
        return std::unexpected(price_unknown("the price book has no maximum of what the model reads"));
    }
    return std::min(window.value_or(most_tokens), text + *pictures);
}

void set_caching(const OpenAiRequest& request, OpenAiPlan& plan) {
    plan.bound.writes_cache = request.row.writes_cache;
    plan.bound.keeps_cache =
        request_text(request_member(request.document, "prompt_cache_options"), "ttl") == "12h" ||
        request_text(request.document, "prompt_cache_retention") == "24h";
}

}  // namespace nomiqon::metering
