#include "endpoint.h"

#include <algorithm>

namespace nomiqon::metering {

namespace {

std::string_view take_segment(std::string_view& path) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    return segment;
}

}  // namespace

bool is_plain_segment(std::string_view segment) {
    constexpr std::string_view others = "-._~:@";
    return !segment.empty() && segment != "." && segment != ".." && std::ranges::all_of(segment, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               others.contains(c);
    });
}

bool path_is(std::string_view path, std::string_view pattern) {
    // A slash at the end is a path of its own.
    if (path.ends_with('/') != pattern.ends_with('/')) return false;
    while (!path.empty() && !pattern.empty()) {
        const std::string_view segment = take_segment(path);
        const std::string_view expected = take_segment(pattern);
        if (expected == "{}" ? !is_plain_segment(segment) : segment != expected) return false;
    }
    return path.empty() && pattern.empty();
}

}  // namespace nomiqon::metering
