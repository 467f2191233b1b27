#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "head_lines.h"
#include "nomiqon/core/refusal.h"

// The body of an HTTP/1.1 message, RFC 9112 sections 6 and 7:
//
//   chunked-body = *( 1*HEXDIG [ chunk-ext ] CRLF data CRLF ) 1*"0" [ chunk-ext ] CRLF *( trailer CRLF ) CRLF

namespace nomiqon::proxy {

enum class BodyKind : std::uint8_t { none, length, chunked, until_close };

struct BodyFraming {
    BodyKind kind = BodyKind::none;
    std::uint64_t length = 0;  ///< of `length`; may be 0, which is said on the wire where `none` is not
    friend bool operator==(const BodyFraming&, const BodyFraming&) = default;
};

struct BodyLimits {
    std::uint64_t bytes = 64ULL * 1024 * 1024;  ///< `limits.bodyBytes`: data, framing not counted
    std::size_t chunk_line_bytes = 4096;        ///< a chunk's size line with its extensions
    std::uint64_t extension_bytes = 64 * 1024;  ///< all extensions of one body, which else are a free channel
    HeadLimits trailers{.bytes = 8192, .count = 32};
};

struct BodyProblem {
    enum class Kind : std::uint8_t { malformed, too_large, truncated };
    Kind kind = Kind::malformed;
    std::string_view detail{};  ///< for the log; quotes nothing of the input
};
[[nodiscard]] Refusal request_refusal(const BodyProblem& problem);  ///< bad_request, request_too_large
[[nodiscard]] Refusal answer_refusal(const BodyProblem& problem);   ///< upstream_unreachable

/// Reads one body from bytes that arrive in any pieces. Pure: holds no data, only a trailer section within
/// its limit.
///
///     while (!rest.empty() && !reader.complete()) {
///         const auto step = reader.read(rest);       // an error ends the exchange
///         pass_on(step->data);                       // a part of `rest`; may be empty
///         rest.remove_prefix(step->consumed);
///     }
///
/// What follows a complete body is never touched: it belongs to the next message.
class BodyReader {
  public:
    struct Step {
        std::size_t consumed = 0;  ///< > 0 for any non-empty input, unless the body was complete before
        std::string_view data{};   ///< body bytes without framing
        bool complete = false;
    };
    BodyReader(BodyFraming framing, BodyLimits limits);

    std::expected<Step, BodyProblem> read(std::string_view input);
    /// The peer closed: the end of a body until close; of any other body that isn't complete, `truncated`.
    std::expected<void, BodyProblem> finish();

    [[nodiscard]] bool complete() const { return state_ == State::complete; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }  ///< of data so far
    /// Of a complete chunked body. Kept apart: never fields of the head (RFC 9110 6.5.1). Those that frame,
    /// route or authenticate are dropped.
    [[nodiscard]] const HeaderFields& trailers() const { return trailers_; }

  private:
    enum class State : std::uint8_t {
        length,
        until_close,
        size,
        extension,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer,
        complete,
        failed
    };
    std::expected<Step, BodyProblem> read_chunked(std::string_view input);
    std::expected<void, BodyProblem> size_byte(char byte);
    std::expected<void, BodyProblem> extension_byte(char byte);
    std::expected<void, BodyProblem> size_line_done();
    std::expected<void, BodyProblem> trailer_byte(char byte);
    std::expected<void, BodyProblem> trailer_line_done();
    std::unexpected<BodyProblem> fail(BodyProblem::Kind kind, std::string_view detail);

    BodyLimits limits_;
    State state_;
    std::uint64_t remaining_;  // of the body, or of the chunk
    std::uint64_t bytes_ = 0;
    std::uint64_t extension_bytes_ = 0;
    std::size_t line_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::size_t trailer_lines_ = 0;
    int digits_ = 0;
    std::string line_;  // of the trailer section
    HeaderFields trailers_;
};

/// Whether a field must not be relayed as a trailer: it frames, routes, authenticates, says how to read the
/// content, is hop-by-hop, or is ours (RFC 9110 6.5.1).
[[nodiscard]] bool is_forbidden_trailer(std::string_view name) noexcept;

/// For a declared length, before anything is read: `request_too_large` when it is beyond the limit.
[[nodiscard]] std::expected<void, BodyProblem> check_declared_length(const BodyFraming& framing,
                                                                     const BodyLimits& limits);

/// Writing chunks: head, data, `chunk_end`; no chunk of size 0 but the last. `size` > 0.
inline constexpr std::string_view chunk_end = "\r\n";
[[nodiscard]] std::string encode_chunk_head(std::uint64_t size);
[[nodiscard]] std::string encode_last_chunk(const HeaderFields& trailers = {});
/// Appends `data` to `out` as a body of this framing carries it.
void append_body(std::string& out, const BodyFraming& framing, std::string_view data);

}  // namespace nomiqon::proxy
