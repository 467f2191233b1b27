// What OpenAI's guides say of pictures ("Images and vision", "Image generation"), rounded up, because what is
// billed has been found to differ from them by a third, and because only the bound depends on it.

#include "openai_models.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace nomiqon::metering {
namespace {

struct Reads {
    std::string_view model;
    std::int64_t tokens;
};

// By tiles of 512 × 512 after scaling to 2048 × 768, so at most 8: base + 8 × tile. By patches of 32 × 32, at
// most 1,536: × a multiplier from 1.2 to 2.46.
constexpr auto reads = std::to_array<Reads>({
    {"gpt-4-turbo", 2'048},
    {"gpt-4o", 2'048},
    {"chatgpt-4o-latest", 2'048},
    {"gpt-4.1", 2'048},
    {"gpt-4.5-preview", 2'048},
    {"o1", 2'048},
    {"o1-pro", 2'048},
    {"o3", 2'048},
    {"o3-pro", 2'048},
    {"computer-use-preview", 2'048},
    {"gpt-4o-mini", 48'169},  // 2,833 + 8 × 5,667
    {"gpt-4.1-mini", 3'072},
    {"gpt-4.1-nano", 4'096},
    {"o4-mini", 3'072},
    {"codex-mini-latest", 3'072},
    {"gpt-5", 3'072},
    {"gpt-5-chat", 3'072},
    {"gpt-5-chat-latest", 3'072},
    {"gpt-5-codex", 3'072},
    {"gpt-5-pro", 3'072},
    {"gpt-5-mini", 3'072},
    {"gpt-5-nano", 4'096},
    {"gpt-5.1", 3'072},
    {"gpt-5.1-chat-latest", 3'072},
    {"gpt-5.1-codex", 3'072},
    {"gpt-5.1-codex-max", 3'072},
    {"gpt-5.1-codex-mini", 3'072},
    {"gpt-5.2", 3'072},
    {"gpt-5.2-chat-latest", 3'072},
    {"gpt-5.2-codex", 3'072},
    {"gpt-5.2-pro", 3'072},
    {"gpt-5.3-chat-latest", 3'072},
    {"gpt-5.3-codex", 3'072},
});

// From GPT-5.4 on: 2,500 patches of a `high` picture, and 10,000 of one as it is; × 2.46, the largest
// multiplier.
constexpr auto by_patches = std::to_array<std::string_view>({"gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6"});
constexpr std::int64_t high_tokens = 6'150;
constexpr std::int64_t original_tokens = 24'600;

bool is_of(std::string_view model, std::string_view family) {
    return model.starts_with(family) && (model.size() == family.size() || model[family.size()] == '-' ||
                                         (family == "gpt-6" && model[family.size()] == '.'));
}

struct Writes {
    std::string_view quality;
    std::int64_t tokens;  ///< of the largest size
};
constexpr auto first_generation = std::to_array<Writes>({{"low", 408}, {"medium", 1'584}, {"high", 6'240}});

std::optional<std::int64_t> of_quality(std::string_view quality) {
    if (quality.empty() || quality == "auto") quality = "high";  // its dearest
    const auto* const found = std::ranges::find(first_generation, quality, &Writes::quality);
    if (found == first_generation.end()) return std::nullopt;
    return found->tokens;
}

/// GPT Image 2: a grid whose longer side has 16, 48 or 96 cells by quality, times the area's share. At most a
/// square of 8.3 megapixels.
std::optional<std::int64_t> of_area(std::string_view size, std::string_view quality) {
    std::int64_t cells = 0;
    if (quality.empty() || quality == "auto" || quality == "high") cells = 96;
    if (quality == "medium") cells = 48;
    if (quality == "low") cells = 16;
    if (cells == 0) return std::nullopt;
    std::int64_t pixels = 8'294'400;
    const auto cross = size.find('x');
    std::int64_t width = 0;
    std::int64_t height = 0;
    if (cross != std::string_view::npos && cross <= 4 && size.size() - cross <= 5) {
        std::from_chars(size.data(), size.data() + cross, width);
        std::from_chars(size.data() + cross + 1, size.data() + size.size(), height);
        if (width > 0 && height > 0) pixels = std::min(pixels, width * height);
    }
    // The shorter side has as many cells at most as the longer one.
    return cells * cells * (2'000'000 + pixels) / 4'000'000 + 1;
}

bool is_date(std::string_view text) {  // -2025-08-07
    constexpr std::string_view form = "-0000-00-00";
    return text.size() == form.size() && std::ranges::equal(text, form, [](char c, char f) {
               return f == '-' ? c == '-' : c >= '0' && c <= '9';
           });
}

}  // namespace

std::string_view undated(std::string_view model) {
    if (model.starts_with("ft:")) {
        model.remove_prefix(3);
        model = model.substr(0, model.find(':'));
    }
    if (const auto slash = model.rfind('/'); slash != std::string_view::npos) model.remove_prefix(slash + 1);
    constexpr std::size_t date = 11;
    if (model.size() > date && is_date(model.substr(model.size() - date))) model.remove_suffix(date);
    return model;
}

std::optional<std::int64_t> picture_tokens_read(std::string_view model, bool large) {
    const std::string_view name = undated(model);
    if (const auto* const found = std::ranges::find(reads, name, &Reads::model); found != reads.end()) {
        return found->tokens;
    }
    if (std::ranges::any_of(by_patches, [&](std::string_view family) { return is_of(name, family); })) {
        return large ? original_tokens : high_tokens;
    }
    return std::nullopt;
}

std::optional<std::int64_t> picture_tokens_written(std::string_view model, std::string_view size,
                                                   std::string_view quality) {
    const std::string_view name = undated(model);
    if (name == "gpt-image-1" || name == "gpt-image-1-mini" || name == "gpt-image-1.5")
        return of_quality(quality);
    if (name == "gpt-image-2") return of_area(size, quality);
    return std::nullopt;
}

bool searches_always(std::string_view model) {
    const std::string_view name = undated(model);
    return name == "gpt-4o-search-preview" || name == "gpt-4o-mini-search-preview" ||
           name == "gpt-5-search-api";
}

}  // namespace nomiqon::metering
