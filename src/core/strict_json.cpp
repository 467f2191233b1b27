// JSON (RFC 8259, and I-JSON's rules on repeated members and surrogates, RFC 7493) on top of nlohmann's SAX
// parser, which is iterative: depth costs no stack.

#include "nomiqon/core/strict_json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nomiqon/core/encoding.h"

namespace nomiqon {
namespace {

using Json = nlohmann::json;

/// Reads the text and keeps count, since SAX events don't say where they are. Copies share the count.
class CountingIterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, std::size_t& count) : at_(at), count_(&count) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        ++at_;
        ++*count_;
        return *this;
    }
    CountingIterator operator++(int) {
        CountingIterator before = *this;
        ++*this;
        return before;
    }
    friend bool operator!=(const CountingIterator& a, const CountingIterator& b) { return a.at_ != b.at_; }

  private:
    const char* at_;
    std::size_t* count_;
};

/// What nlohmann says is wrong, without the piece of the text that it quotes: that may be a secret.
std::string reason_of(const nlohmann::detail::exception& error) {
    constexpr int number_overflow = 406;
    if (error.id == number_overflow) return "a number is too large for a 64-bit floating number";
    std::string text = error.what();
    if (const auto start = text.find("syntax error"); start != std::string::npos) text.erase(0, start);
    if (const auto quote = text.find("; last read"); quote != std::string::npos) text.erase(quote);
    return text;
}

/// Builds the document from SAX events and stops at the first thing that is not strict.
class DocumentBuilder {
  public:
    explicit DocumentBuilder(const JsonLimits& limits)
        : max_depth_(limits.max_depth), max_values_(limits.max_values), values_left_(limits.max_values) {}

    [[nodiscard]] Json take_document() { return std::move(document_); }
    [[nodiscard]] const std::string& problem() const { return problem_; }

    /// Of the value that was being read.
    [[nodiscard]] std::string pointer() const {
        std::string pointer;
        for (const Level& level : open_) {
            if (level.container->is_array()) {
                // The last element, if it is still open, else the one that was to come.
                const bool innermost = &level == &open_.back();
                pointer += '/' + std::to_string(level.container->size() - (innermost ? 0 : 1));
            } else if (level.has_key) {
                pointer += '/' + json_pointer_token(level.key);
            }
        }
        return pointer;
    }

    // The interface that nlohmann's parser calls; false stops it.
    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(Json::number_integer_t value) { return add(value); }
    bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
    bool number_float(Json::number_float_t value, const std::string& text) {
        // Integers that fit no 64 bits arrive here, rounded.
        if (text.find_first_of(".eE") == std::string::npos)
            return stop("an integer does not fit into 64 bits");
        if (!std::isfinite(value)) return stop("a number is too large for a 64-bit floating number");
        return add(value);
    }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(Json::binary_t& /*value*/) { return stop("binary values are not JSON"); }
    bool start_object(std::size_t /*size*/) { return open(Json::object()); }
    bool start_array(std::size_t /*size*/) { return open(Json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        Level& level = open_.back();
        level.key = std::move(name);
        level.has_key = true;
        return !level.container->contains(level.key) || stop("this member is repeated");
    }
    bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                     const nlohmann::detail::exception& error) {
        return stop(reason_of(error));
    }

  private:
    struct Level {
        Json* container;
        std::string key{};
        bool has_key = false;
    };

    bool stop(std::string problem) {
        problem_ = std::move(problem);
        return false;
    }

    /// Puts a value where it belongs. What it returns stays in place while the value is open: its container
    /// changes only after it was closed.
    Json* place(Json value) {
        if (open_.empty()) {
            document_ = std::move(value);
            return &document_;
        }
        Level& level = open_.back();
        if (level.container->is_array()) {
            level.container->push_back(std::move(value));
            return &level.container->back();
        }
        Json& member = (*level.container)[level.key];
        member = std::move(value);
        return &member;
    }
    bool count_value() {
        if (values_left_ == 0) return stop("more than " + std::to_string(max_values_) + " values");
        --values_left_;
        return true;
    }
    template <class Value>
    bool add(Value&& value) {
        if (!count_value()) return false;
        place(Json(std::forward<Value>(value)));
        return end_value();
    }
    bool open(Json container) {
        if (open_.size() == max_depth_) {
            return stop("nested deeper than " + std::to_string(max_depth_) + " levels");
        }
        if (!count_value()) return false;
        Json* const placed = place(std::move(container));
        open_.push_back({.container = placed});
        return true;
    }
    bool close() {
        open_.pop_back();
        return end_value();
    }

    bool end_value() {
        if (!open_.empty()) open_.back().has_key = false;
        return true;
    }

    std::size_t max_depth_;
    std::size_t max_values_;
    std::size_t values_left_;
    Json document_;
    std::vector<Level> open_;
    std::string problem_;
};

JsonProblem problem_at(std::string_view text, std::size_t offset, std::string message,
                       std::string pointer = {}) {
    const std::string_view before = text.substr(0, std::min(offset, text.size()));
    const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return {.message = std::move(message),
            .pointer = std::move(pointer),
            .line = static_cast<std::size_t>(std::ranges::count(before, '\n')) + 1,
            .column = before.size() - line_start + 1};
}

/// What nlohmann's lexer would let pass: it skips a byte order mark and takes a NUL for the end of the text.
std::optional<JsonProblem> check_bytes(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf"))
        return problem_at(text, 0, "the text starts with a byte order mark");
    if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
        return problem_at(text, nul, "a NUL byte is not JSON");
    }
    if (!is_utf8(text)) return JsonProblem{.message = "the text is not valid UTF-8"};
    return std::nullopt;
}

}  // namespace

std::expected<nlohmann::json, JsonProblem> parse_strict_json(std::string_view text,
                                                             const JsonLimits& limits) {
    if (auto problem = check_bytes(text)) return std::unexpected(std::move(*problem));

    std::size_t consumed = 0;
    DocumentBuilder builder{limits};
    const bool whole = Json::sax_parse(CountingIterator{text.data(), consumed},
                                       CountingIterator{text.data() + text.size(), consumed}, &builder,
                                       Json::input_format_t::json, /*strict=*/true, limits.allow_comments);
    if (!whole) {
        // The parser has read the byte that it stumbled over.
        return std::unexpected(
            problem_at(text, consumed > 0 ? consumed - 1 : 0, builder.problem(), builder.pointer()));
    }
    return builder.take_document();
}

std::string json_pointer_token(std::string_view name) {
    std::string token;
    for (const char c : name) {
        if (c == '~') {
            token += "~0";
        } else if (c == '/') {
            token += "~1";
        } else {
            token += c;
        }
    }
    return token;
}

}  // namespace nomiqon
