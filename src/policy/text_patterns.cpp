#include "text_patterns.h"

#include <algorithm>

namespace nomiqon::policy {

void TextPatterns::seal() {
    std::ranges::sort(prefixes_);
    std::vector<std::string> shortest;
    for (auto& prefix : prefixes_) {
        if (shortest.empty() || !prefix.starts_with(shortest.back())) shortest.push_back(std::move(prefix));
    }
    prefixes_ = std::move(shortest);
}

/// Whatever sorts between a prefix of `text` and `text` begins with that prefix too, and `seal` left no such
/// one: only the last prefix that doesn't sort after `text` can be one of it.
bool TextPatterns::has_prefix_of(std::string_view text) const {
    const auto after = std::ranges::upper_bound(prefixes_, text);
    return after != prefixes_.begin() && text.starts_with(*std::prev(after));
}

}  // namespace nomiqon::policy
