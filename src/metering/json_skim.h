#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// JSON (RFC 8259) of a provider, which may be hostile, long, or both. A picture or a thousand embeddings are
// 30 MB of one answer, and what they cost stands in its last hundred bytes: the skim keeps the structure and
// drops the bulk.

namespace nomiqon::metering {

struct SkimLimits {
    std::size_t bytes = 4ULL * 1024 * 1024;  ///< of the reduced document, or of one element of a top array
    std::size_t string_bytes = 1024;         ///< beyond, the rest of a string is dropped
    std::size_t scalars = 16;  ///< of an array; those behind are dropped (an embedding's numbers)
    std::size_t items = 4096;  ///< of an array, whatever they are; those behind are dropped
    std::size_t depth = 64;
};

/// Takes a JSON text in pieces and keeps a reduced one of bounded size. Of an array at the top (Gemini's
/// streams without `alt=sse`) each element is a document of its own, so that the array may be endless.
class JsonSkim {
  public:
    explicit JsonSkim(SkimLimits limits) : limits_(limits) {}

    void read(std::string_view bytes);

    /// The elements of a top array that were completed since the last call.
    [[nodiscard]] std::vector<std::string> take_elements();
    /// The reduced document; empty of a top array.
    [[nodiscard]] const std::string& document() const { return kept_; }

    [[nodiscard]] bool broken() const { return broken_; }  ///< no JSON, or beyond the limits: read no further
    [[nodiscard]] bool complete() const {
        return complete_;
    }  ///< the document or the top array came to its end
    [[nodiscard]] bool is_array() const { return top_array_; }
    /// Objects or arrays were dropped from an array that had too many: a sum over them would be too small.
    [[nodiscard]] bool lossy() const { return lossy_; }

  private:
    enum class Token : std::uint8_t { none, string, name, scalar };
    /// An array or object that is open.
    struct Frame {
        bool array;
        bool keep;
        std::size_t begun = 0;     ///< values of an array, members of an object
        std::size_t kept = 0;      ///< of these
        bool after_value = false;  ///< only a comma or the end may follow
        bool colon_due = false;    ///< of an object: a name was read
        bool value_due = false;    ///< of an object: the colon was read
    };

    void take_structure(char byte);
    void take_in_string(char byte);
    void take_in_scalar(char byte);
    void begin_value(char byte);
    void begin_name();
    [[nodiscard]] bool begin_in_array(Frame& frame, bool scalar);
    void end_value();
    void open(char byte);
    void close(bool array);
    void end_of_string();
    void keep(char byte);
    void fail() { broken_ = true; }

    SkimLimits limits_;
    std::vector<Frame> frames_{};
    std::string kept_{};
    std::vector<std::string> elements_{};

    Token token_ = Token::none;
    bool keeping_ = true;  ///< what is under way
    std::size_t token_bytes_ = 0;
    bool cut_ = false;       ///< the rest of the string under way is dropped
    bool escape_ = false;    ///< after a backslash
    int hex_left_ = 0;       ///< of a \u escape
    std::uint32_t hex_ = 0;  ///< its value so far
    bool high_surrogate_ =
        false;  ///< the last character was the first half of a pair: not to be cut from the second

    bool top_array_ = false;
    bool complete_ = false;
    bool broken_ = false;
    bool lossy_ = false;
};

/// Parses what a provider sent. Nothing: it is no JSON, is nested deeper than `SkimLimits::depth`, or repeats
/// a member in any of its objects; two readers could then see two different costs.
[[nodiscard]] std::optional<nlohmann::json> parse_answer(std::string_view text);

}  // namespace nomiqon::metering
