#include "config_value.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"
#include "secret_source.h"

namespace nomiqon::config_detail {
namespace {

constexpr std::size_t longest_text = 16UL * 1024;

bool has_control(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

std::string range_text(std::uint64_t min, std::uint64_t max) {
    return "from " + std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

Value Value::member(const std::string& name) const {
    return {data_->at(name), pointer_ + '/' + json_pointer_token(name), *findings_};
}

Value Value::element(std::size_t index) const {
    return {data_->at(index), pointer_ + '/' + std::to_string(index), *findings_};
}

void Value::wrong_type(std::string_view wanted) const {
    problem("must be " + std::string(wanted) + ", not " + data_->type_name());
}

bool Value::expect_object() const {
    if (!data_->is_object()) wrong_type("an object in braces");
    return data_->is_object();
}

bool Value::expect_array() const {
    if (!data_->is_array()) wrong_type("a list in brackets");
    return data_->is_array();
}

std::optional<std::string> Value::text() const {
    if (!data_->is_string()) {
        wrong_type("a string");
        return std::nullopt;
    }
    const auto& text = data_->get_ref<const std::string&>();
    if (text.empty()) {
        problem("must not be empty; leave the key out for its default");
    } else if (text.size() > longest_text) {
        problem("is longer than " + std::to_string(longest_text) + " bytes");
    } else if (has_control(text)) {
        problem("must not contain control characters");
    } else {
        return text;
    }
    return std::nullopt;
}

std::optional<bool> Value::boolean() const {
    if (data_->is_boolean()) return data_->get<bool>();
    wrong_type("true or false");
    return std::nullopt;
}

std::optional<std::uint64_t> Value::count(std::uint64_t min, std::uint64_t max) const {
    if (!data_->is_number_integer()) {
        wrong_type("a whole number " + range_text(min, max) + " without quotes");
        return std::nullopt;
    }
    const bool negative = !data_->is_number_unsigned() && data_->get<std::int64_t>() < 0;
    const auto number = data_->get<std::uint64_t>();
    if (negative || number < min || number > max) {
        problem("must be " + range_text(min, max));
        return std::nullopt;
    }
    return number;
}

std::optional<Duration> Value::duration(Duration min, Duration max) const {
    if (!data_->is_string()) {
        wrong_type("a string with a unit, such as \"500ms\", \"60s\", \"5m\" or \"1h\"");
        return std::nullopt;
    }
    const auto duration = parse_duration(data_->get_ref<const std::string&>());
    if (!duration) {
        problem("must be a duration with its unit: \"500ms\", \"60s\", \"5m\" or \"1h\"");
        return std::nullopt;
    }
    if (*duration < min || *duration > max) {
        problem("must be from " + format_duration(min) + " to " + format_duration(max));
        return std::nullopt;
    }
    return duration;
}

std::optional<Usdc> Value::amount() const {
    if (!data_->is_string()) {
        wrong_type("an amount of USDC in a string, such as \"0.008\"");
        return std::nullopt;
    }
    const auto amount = Usdc::parse(data_->get_ref<const std::string&>());
    if (!amount) problem("must be an amount of USDC with at most 9 decimals, such as \"0.008\"");
    return amount;
}

std::optional<std::filesystem::path> Value::path() const {
    const auto written = text();
    if (!written) return std::nullopt;
    return (base() / *written).lexically_normal();
}

std::optional<std::string> Value::one_of(std::span<const std::string_view> allowed) const {
    auto written = text();
    if (!written) return std::nullopt;
    if (std::ranges::find(allowed, *written) != allowed.end()) return written;
    std::string choices;
    for (const auto choice : allowed)
        choices += (choices.empty() ? "" : ", ") + std::string(choice);
    const auto nearest = nearest_name(*written, allowed);
    problem(in_backticks(*written) + " is none of: " + choices +
            (nearest ? "; did you mean `" + *nearest + "`?" : ""));
    return std::nullopt;
}

std::optional<Secret> Value::secret(bool& references) const {
    references = false;
    const auto written = text();
    if (!written) return std::nullopt;
    std::vector<Secret> parts;
    std::string_view rest = *written;
    for (auto start = rest.find("${"); start != std::string_view::npos; start = rest.find("${")) {
        parts.emplace_back(rest.substr(0, start));
        rest.remove_prefix(start);
        const auto reference = read_reference(rest);
        auto content = reference ? resolve(*reference, base()) : std::unexpected(reference.error());
        if (!content) {
            problem(std::move(content.error()));
            return std::nullopt;
        }
        references = true;
        parts.push_back(*std::move(content));
        rest.remove_prefix(reference->length);
    }
    parts.emplace_back(rest);
    return Secret::joined(parts);
}

void Value::unknown_member(const std::string& name, std::span<const std::string_view> known) const {
    const auto nearest = nearest_name(name, known);
    const Value where{*data_, pointer_ + '/' + json_pointer_token(name), *findings_};
    where.problem("unknown key " + in_backticks(name) +
                  (nearest ? "; did you mean `" + *nearest + "`?" : ""));
}

std::string format_duration(Duration duration) {
    const auto ms = duration.count();
    if (ms != 0 && ms % 3'600'000 == 0) return std::to_string(ms / 3'600'000) + 'h';
    if (ms > 60'000 && ms % 60'000 == 0) return std::to_string(ms / 60'000) + 'm';
    if (ms % 1000 == 0) return std::to_string(ms / 1000) + 's';
    return std::to_string(ms) + "ms";
}

std::expected<std::string, std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) return std::unexpected("does not exist");
    if (error) return std::unexpected("can't be read: " + error.message());
    if (std::filesystem::is_directory(status)) return std::unexpected("is a directory, not a file");
    // A pipe or a device could block for ever, and can't be read again at a reload.
    if (!std::filesystem::is_regular_file(status)) return std::unexpected("is not a regular file");

    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return std::unexpected("can't be read: " + std::generic_category().message(errno));
    std::string content;
    char buffer[16 * 1024];
    while (content.size() <= max_bytes) {
        stream.read(buffer, sizeof buffer);
        content.append(buffer, static_cast<std::size_t>(stream.gcount()));
        if (stream.bad()) return std::unexpected("can't be read: " + std::generic_category().message(errno));
        if (stream.eof()) break;
    }
    if (content.size() > max_bytes) {
        return std::unexpected("is larger than " + std::to_string(max_bytes) + " bytes");
    }
    return content;
}

}  // namespace nomiqon::config_detail
