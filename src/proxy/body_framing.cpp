#include "body_framing.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace nomiqon::proxy {
namespace {

using Kind = BodyProblem::Kind;

constexpr int max_size_digits = 16;  // 64 bits: no more can overflow

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Beside hop-by-hop fields, Content-* and our own. RFC 9110 6.5.1: framing, routing, request modifiers,
// authentication, response control, and what says how to process the content.
constexpr std::array<std::string_view, 26> forbidden_trailers{"host",
                                                              "authorization",
                                                              "www-authenticate",
                                                              "proxy-authentication-info",
                                                              "set-cookie",
                                                              "cookie",
                                                              "max-forwards",
                                                              "expect",
                                                              "cache-control",
                                                              "pragma",
                                                              "range",
                                                              "if-match",
                                                              "if-none-match",
                                                              "if-modified-since",
                                                              "if-unmodified-since",
                                                              "if-range",
                                                              "age",
                                                              "expires",
                                                              "date",
                                                              "location",
                                                              "retry-after",
                                                              "vary",
                                                              "warning",
                                                              "forwarded",
                                                              "x-forwarded-for",
                                                              "x-forwarded-host"};

}  // namespace

bool is_forbidden_trailer(std::string_view name) noexcept {
    constexpr std::string_view content = "content-";
    return is_hop_by_hop(name) || is_gateway_field(name) ||
           iequals(name.substr(0, content.size()), content) ||
           std::ranges::any_of(forbidden_trailers,
                               [&](std::string_view known) { return iequals(known, name); });
}

Refusal request_refusal(const BodyProblem& problem) {
    const auto code =
        problem.kind == Kind::too_large ? RefusalCode::request_too_large : RefusalCode::bad_request;
    return {.code = code, .detail = "body: " + std::string{problem.detail}};
}

Refusal answer_refusal(const BodyProblem& problem) {
    return {.code = RefusalCode::upstream_unreachable,
            .detail = "malformed answer: body: " + std::string{problem.detail}};
}

std::expected<void, BodyProblem> check_declared_length(const BodyFraming& framing, const BodyLimits& limits) {
    if (framing.kind == BodyKind::length && framing.length > limits.bytes) {
        return std::unexpected(
            BodyProblem{.kind = Kind::too_large, .detail = "declared length is beyond the limit"});
    }
    return {};
}

BodyReader::BodyReader(BodyFraming framing, BodyLimits limits)
    : limits_(limits), state_(State::complete), remaining_(framing.length) {
    if (framing.kind == BodyKind::chunked) state_ = State::size;
    if (framing.kind == BodyKind::until_close) state_ = State::until_close;
    if (framing.kind == BodyKind::length && framing.length > 0) state_ = State::length;
    if (framing.kind != BodyKind::length) remaining_ = 0;
}

std::unexpected<BodyProblem> BodyReader::fail(Kind kind, std::string_view detail) {
    state_ = State::failed;
    return std::unexpected(BodyProblem{.kind = kind, .detail = detail});
}

std::expected<BodyReader::Step, BodyProblem> BodyReader::read(std::string_view input) {
    switch (state_) {
        case State::complete:
            return Step{.complete = true};
        case State::failed:
            return fail(Kind::malformed, "read after an error");
        case State::length: {
            if (bytes_ == 0 && remaining_ > limits_.bytes) {
                return fail(Kind::too_large, "declared length is beyond the limit");
            }
            const auto data = input.substr(0, std::min<std::uint64_t>(remaining_, input.size()));
            remaining_ -= data.size();
            bytes_ += data.size();
            if (remaining_ == 0) state_ = State::complete;
            return Step{.consumed = data.size(), .data = data, .complete = complete()};
        }
        case State::until_close:
            if (input.size() > limits_.bytes - bytes_) return fail(Kind::too_large, "longer than the limit");
            bytes_ += input.size();
            return Step{.consumed = input.size(), .data = input};
        default:
            return read_chunked(input);
    }
}

std::expected<BodyReader::Step, BodyProblem> BodyReader::read_chunked(std::string_view input) {
    for (std::size_t at = 0; at < input.size(); ++at) {
        std::expected<void, BodyProblem> ok;
        switch (state_) {
            case State::size:
                ok = size_byte(input[at]);
                break;
            case State::extension:
                ok = extension_byte(input[at]);
                break;
            case State::size_lf:
                if (input[at] != '\n') return fail(Kind::malformed, "bare CR after a chunk's size");
                ok = size_line_done();
                break;
            case State::data: {
                const auto data = input.substr(at, std::min<std::uint64_t>(remaining_, input.size() - at));
                remaining_ -= data.size();
                bytes_ += data.size();
                if (remaining_ == 0) state_ = State::data_cr;
                return Step{.consumed = at + data.size(), .data = data};
            }
            case State::data_cr:
                if (input[at] != '\r') return fail(Kind::malformed, "chunk is longer than its size");
                state_ = State::data_lf;
                break;
            case State::data_lf:
                if (input[at] != '\n') return fail(Kind::malformed, "bare CR after a chunk");
                state_ = State::size;
                break;
            default:
                ok = trailer_byte(input[at]);
                break;
        }
        if (!ok) return std::unexpected(ok.error());
        if (complete()) return Step{.consumed = at + 1, .complete = true};
    }
    return Step{.consumed = input.size()};
}

std::expected<void, BodyProblem> BodyReader::size_byte(char byte) {
    const int digit = hex_value(byte);
    if (digit >= 0) {
        if (++digits_ > max_size_digits) return fail(Kind::malformed, "chunk size of more than 16 digits");
        remaining_ = remaining_ << 4 | static_cast<std::uint64_t>(digit);
        ++line_bytes_;
        return {};
    }
    // RFC 9112 7.1.1 would have whitespace here read and ignored; readers differ on it, nobody needs it.
    if (digits_ == 0 || (byte != ';' && byte != '\r'))
        return fail(Kind::malformed, "chunk size is no number");
    state_ = byte == ';' ? State::extension : State::size_lf;
    return {};
}

std::expected<void, BodyProblem> BodyReader::extension_byte(char byte) {
    if (byte == '\r') {
        state_ = State::size_lf;
        return {};
    }
    if (!is_field_value({&byte, 1})) return fail(Kind::malformed, "control character in a chunk extension");
    if (++line_bytes_ > limits_.chunk_line_bytes || ++extension_bytes_ > limits_.extension_bytes) {
        return fail(Kind::too_large, "chunk extensions are longer than the limit");
    }
    return {};
}

std::expected<void, BodyProblem> BodyReader::size_line_done() {
    if (remaining_ > limits_.bytes - bytes_) return fail(Kind::too_large, "chunks are longer than the limit");
    state_ = remaining_ == 0 ? State::trailer : State::data;
    digits_ = 0;
    line_bytes_ = 0;
    return {};
}

std::expected<void, BodyProblem> BodyReader::trailer_byte(char byte) {
    if (++trailer_bytes_ > limits_.trailers.bytes)
        return fail(Kind::too_large, "trailers longer than the limit");
    if (byte == '\n') {
        if (!line_.ends_with('\r')) return fail(Kind::malformed, "trailer line ends in a bare LF");
        line_.pop_back();
        return trailer_line_done();
    }
    if (line_.ends_with('\r')) return fail(Kind::malformed, "bare CR in the trailers");
    line_ += byte;
    return {};
}

std::expected<void, BodyProblem> BodyReader::trailer_line_done() {
    if (line_.empty()) {
        state_ = State::complete;
        return {};
    }
    if (++trailer_lines_ > limits_.trailers.count)
        return fail(Kind::too_large, "more trailers than the limit");
    auto field = parse_field_line(line_);
    if (!field) return fail(Kind::malformed, field.error());
    if (!is_forbidden_trailer(field->name)) trailers_.push_back(std::move(*field));
    line_.clear();
    return {};
}

std::expected<void, BodyProblem> BodyReader::finish() {
    if (state_ == State::until_close) state_ = State::complete;
    if (!complete()) return fail(Kind::truncated, "ends before it is complete");
    return {};
}

std::string encode_chunk_head(std::uint64_t size) {
    std::array<char, max_size_digits> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
    return std::string(digits.data(), end) + "\r\n";
}

std::string encode_last_chunk(const HeaderFields& trailers) {
    std::string bytes = "0\r\n";
    for (const auto& field : trailers)
        bytes += field.name + ": " + field.value + "\r\n";
    return bytes + "\r\n";
}

void append_body(std::string& out, const BodyFraming& framing, std::string_view data) {
    if (data.empty()) return;
    if (framing.kind != BodyKind::chunked) {
        out += data;
        return;
    }
    out += encode_chunk_head(data.size());
    out += data;
    out += chunk_end;
}

}  // namespace nomiqon::proxy
