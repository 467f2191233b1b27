#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nomiqon::audit {

/// Reads a JSON array of strings, 64-bit integers, booleans and nulls, member by member, in the one spelling
/// that PostgreSQL's json_build_array gives it. What a caller asks for must be there; the first that isn't
/// makes `ok` false for good, so that a whole line is read before it is judged.
///
/// A general parser would take other spellings of the same values, which a chain must not, and would be the
/// slowest part of an audit.
class ArrayReader {
  public:
    explicit ArrayReader(std::string_view text);

    std::string text();
    std::optional<std::string> text_or_null();
    std::int64_t integer();
    std::optional<std::int64_t> integer_or_null();
    bool boolean();

    [[nodiscard]] bool at_end() const { return rest_ == "]"; }
    [[nodiscard]] bool ok() const { return ok_; }

  private:
    bool skip(std::string_view expected);
    void begin_member();
    bool take_null();
    bool take_null_member();  ///< true, too, where the line is malformed
    char escaped();
    void fail();

    std::string_view rest_;
    bool first_ = true;
    bool ok_ = true;
};

}  // namespace nomiqon::audit
