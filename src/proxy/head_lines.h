#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nomiqon::proxy {

/// One field line. The name as written, the value without the optional whitespace around it.
struct HeaderField {
    std::string name;
    std::string value;
    friend bool operator==(const HeaderField&, const HeaderField&) = default;
};
/// Lines of one name keep their order; lines of different names need not (RFC 9110 5.3).
using HeaderFields = std::vector<HeaderField>;

struct HeadLimits {
    std::size_t bytes = 32 * 1024;  ///< `limits.headerBytes`: from the first byte to the empty line
    std::size_t count = 100;        ///< `limits.headerCount`: field lines
};

[[nodiscard]] bool iequals(std::string_view a, std::string_view b) noexcept;  ///< ASCII letters alone fold
[[nodiscard]] bool is_token(std::string_view text) noexcept;                  ///< RFC 9110 5.6.2
[[nodiscard]] std::string_view trim_ows(std::string_view text) noexcept;
/// Visible ASCII, SP, HTAB and obs-text: what a value may be made of.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

[[nodiscard]] std::size_t count_fields(const HeaderFields& fields, std::string_view name) noexcept;
[[nodiscard]] const HeaderField* find_field(const HeaderFields& fields,
                                            std::string_view name) noexcept;  ///< first
/// Whether `token` is an element of the comma-separated lists in all fields called `name`, without regard to
/// case.
[[nodiscard]] bool list_has(const HeaderFields& fields, std::string_view name, std::string_view token);
/// The non-empty elements of a comma-separated list, without the whitespace around them.
[[nodiscard]] std::vector<std::string_view> list_elements(std::string_view value);

/// Fields that end at this hop (RFC 9110 7.6.1), whatever Connection says.
[[nodiscard]] bool is_hop_by_hop(std::string_view name) noexcept;
/// `X-Nomiqon-*`: ours, in both directions. With `_` for `-` too, which some servers read as the same name.
[[nodiscard]] bool is_gateway_field(std::string_view name) noexcept;

/// One `name: value` without its CRLF, strictly: the name is a token, nothing between it and the colon, no
/// folded line, no control character. The error is a phrase for the log that quotes nothing of the input.
[[nodiscard]] std::expected<HeaderField, std::string_view> parse_field_line(std::string_view line);

/// Content-Length's `1*DIGIT` within 64 bits; no sign, list, or other form.
[[nodiscard]] std::optional<std::uint64_t> parse_content_length(std::string_view value) noexcept;

/// What framing says of a message, requests and answers alike.
struct FramingFields {
    std::optional<std::uint64_t> content_length{};
    bool chunked = false;
};
/// RFC 9112 6.3, where it leaves a choice the safe one: more than one Content-Length, one beside
/// Transfer-Encoding, any Transfer-Encoding but `chunked`, or one in HTTP/1.0 are errors.
[[nodiscard]] std::expected<FramingFields, std::string_view> read_framing(const HeaderFields& fields,
                                                                          int minor_version);

/// Finds the end of a head in bytes that arrive in pieces, and refuses at the first byte that no head may
/// hold: a line end other than CRLF, a control character. Looks at each byte once, however small the pieces.
class HeadScanner {
  public:
    enum class Problem : unsigned char { malformed, too_large };
    struct Error {
        Problem problem;
        std::string_view detail;
    };
    explicit HeadScanner(HeadLimits limits) : limits_(limits) {}

    /// `received`: all bytes so far, from the same beginning in every call. Where the head is complete: its
    /// length, the empty line included; one empty line before the start line is stepped over when
    /// `skip_empty_line`.
    std::expected<std::optional<std::size_t>, Error> scan(std::string_view received, bool skip_empty_line);
    [[nodiscard]] std::size_t start() const {
        return start_;
    }  ///< of the start line: 0, or 2 after an empty line

  private:
    HeadLimits limits_;
    std::size_t start_ = 0;
    std::size_t at_ = 0;  // the first byte not looked at
    std::size_t line_start_ = 0;
    std::size_t lines_ = 0;
};

/// The start line and the field lines of a complete head (as HeadScanner delimits it), none of them folded.
struct HeadLines {
    std::string_view start_line;
    std::vector<std::string_view> field_lines;
};
[[nodiscard]] HeadLines split_head(std::string_view head);
[[nodiscard]] std::expected<HeaderFields, std::string_view> parse_field_lines(const HeadLines& lines);

}  // namespace nomiqon::proxy
