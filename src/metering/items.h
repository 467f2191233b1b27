#pragma once

#include <string_view>

/// Names of what a call uses that is no token (Usage::items), and the price book's keys that give their
/// rates. Counts are whole numbers; what a provider measures in fractions is counted in thousandths, rounded
/// up.
namespace nomiqon::metering {

// Calls of tools that the provider runs (rule 12). `web_search` is for a search whose context size is not
// known, or doesn't matter: the dearest of the three.
inline constexpr std::string_view item_web_search = "web_search";          // search_context_cost_per_query
inline constexpr std::string_view item_web_search_low = "web_search_low";  // …search_context_size_low
inline constexpr std::string_view item_web_search_medium =
    "web_search_medium";                                                     // …search_context_size_medium
inline constexpr std::string_view item_web_search_high = "web_search_high";  // …search_context_size_high
inline constexpr std::string_view item_maps_grounding =
    "maps_grounding";                                                // google_maps_grounding_cost_per_query
inline constexpr std::string_view item_file_search = "file_search";  // file_search_cost_per_1k_calls
inline constexpr std::string_view item_code_interpreter =
    "code_interpreter";  // …_cost_per_session: a container

// Pictures. Of models that are paid by the picture or the pixel; the others count image tokens.
inline constexpr std::string_view item_images_in = "images_in";  // input_cost_per_image
/// Pictures made: output_cost_per_image; in an entry that only makes pictures and has no such rate,
/// input_cost_per_image, which LiteLLM uses for both.
inline constexpr std::string_view item_images_out = "images_out";
inline constexpr std::string_view item_pixels =
    "pixels";  // input_ + output_cost_per_pixel; of all pictures made

// Time, in milliseconds.
inline constexpr std::string_view item_audio_in_ms =
    "audio_in_ms";  // input_cost_per_second, …_audio_per_second
inline constexpr std::string_view item_audio_out_ms = "audio_out_ms";  // output_cost_per_second
inline constexpr std::string_view item_video_in_ms = "video_in_ms";    // input_cost_per_video_per_second
inline constexpr std::string_view item_video_out_ms = "video_out_ms";  // output_cost_per_video_per_second

// Text by the character (speech, translation).
inline constexpr std::string_view item_characters_in = "characters_in";    // input_cost_per_character
inline constexpr std::string_view item_characters_out = "characters_out";  // output_cost_per_character

// Whole calls, and what providers sell by units of their own.
inline constexpr std::string_view item_requests = "requests";                // input_cost_per_request
inline constexpr std::string_view item_queries = "queries";                  // input_cost_per_query
inline constexpr std::string_view item_pages = "pages";                      // ocr_cost_per_page
inline constexpr std::string_view item_annotated_pages = "annotated_pages";  // annotation_cost_per_page
inline constexpr std::string_view item_credits = "credits";                  // cost_per_credit (ours)
inline constexpr std::string_view item_read_units = "read_units";            // cost_per_read_unit (ours)
inline constexpr std::string_view item_write_units = "write_units";          // cost_per_write_unit (ours)

}  // namespace nomiqon::metering
