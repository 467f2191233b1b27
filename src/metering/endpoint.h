#pragma once

#include <string_view>

namespace nomiqon::metering {

/// Whether `path` is `pattern`, in which a segment `{}` stands for one plain name: letters, digits and
/// `-._~:@`, but neither `.` nor `..`, and nothing that is percent-encoded, which a provider could read as
/// another path (rule 1).
[[nodiscard]] bool path_is(std::string_view path, std::string_view pattern);
[[nodiscard]] bool is_plain_segment(std::string_view segment);

}  // namespace nomiqon::metering
