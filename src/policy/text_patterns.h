#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace nomiqon::policy {

/// Texts, and beginnings of texts, to find out whether one of them takes a given text: by one hash look-up
/// and one binary search. Filled once, then read.
class TextPatterns {
  public:
    void add_exact(std::string text) { exact_.insert(std::move(text)); }
    void add_prefix(std::string prefix) { prefixes_.push_back(std::move(prefix)); }
    void seal();  ///< after the last one

    [[nodiscard]] bool has_exact(std::string_view text) const { return exact_.contains(text); }
    [[nodiscard]] bool has_prefix_of(std::string_view text) const;
    [[nodiscard]] bool match(std::string_view text) const { return has_exact(text) || has_prefix_of(text); }

  private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    std::unordered_set<std::string, TextHash, std::equal_to<>> exact_;
    std::vector<std::string> prefixes_;  ///< sorted, none the beginning of another, once `seal` was called
};

}  // namespace nomiqon::policy
