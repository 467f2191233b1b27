#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace nomiqon::bench {

/// One answer with a length, or in chunks, as its bytes come in. What was in chunks is kept in `text`.
class Answer {
  public:
    void begin() { *this = Answer{}; }
    /// False: `why()` says what is wrong.
    bool feed(std::string_view bytes) {
        while (!bytes.empty() && why_.empty()) {
            if (state_ == State::done) return refuse("more than the answer came");
            if (state_ == State::length || state_ == State::chunk)
                take_body(bytes);
            else
                take_line(bytes);
        }
        return why_.empty();
    }
    [[nodiscard]] bool is_complete() const { return state_ == State::done; }
    [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }
    [[nodiscard]] const std::string& why() const { return why_; }
    std::string text;

  private:
    enum class State : std::uint8_t { status, fields, length, chunk_size, chunk, chunk_end, trailer, done };

    bool refuse(std::string_view why) {
        why_ = why;
        return false;
    }

    void take_body(std::string_view& bytes) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
        if (state_ == State::chunk) text.append(bytes.substr(0, count));
        bytes.remove_prefix(count);
        body_bytes_ += count;
        left_ -= count;
        if (left_ == 0) state_ = state_ == State::length ? State::done : State::chunk_end;
    }

    void take_line(std::string_view& bytes) {
        const auto end = bytes.find('\n');
        line_.append(bytes.substr(0, end));
        bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
        if (end == std::string_view::npos) return;
        if (line_.ends_with('\r')) line_.pop_back();
        on_line();
        line_.clear();
    }

    void on_line() {
        switch (state_) {
            case State::status:
                if (!line_.starts_with("HTTP/1.1 200")) why_ = line_;
                state_ = State::fields;
                return;
            case State::fields:
                return line_.empty() ? on_head_end() : on_field();
            case State::chunk_size:
                left_ = number(line_, 16);
                state_ = left_ == 0 ? State::trailer : State::chunk;
                return;
            case State::chunk_end:
                state_ = State::chunk_size;
                return;
            default:
                if (line_.empty()) state_ = State::done;
        }
    }

    void on_field() {
        const auto colon = line_.find(':');
        std::string name = line_.substr(0, colon);
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; });
        if (name == "content-length") {
            has_length_ = true;
            left_ = number(std::string_view(line_).substr(colon + 2), 10);
        }
        if (name == "transfer-encoding") is_chunked_ = true;
    }

    void on_head_end() {
        if (is_chunked_)
            state_ = State::chunk_size;
        else if (has_length_)
            state_ = left_ > 0 ? State::length : State::done;
        else
            why_ = "an answer without a length";
    }

    std::uint64_t number(std::string_view digits, int base) {
        std::uint64_t value = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        if (parsed.ec != std::errc{}) why_ = "a length that is no number";
        return value;
    }

    State state_ = State::status;
    bool has_length_ = false, is_chunked_ = false;
    std::string line_, why_;
    std::uint64_t left_ = 0, body_bytes_ = 0;
};

}  // namespace nomiqon::bench
