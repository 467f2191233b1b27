#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// A line of an agent's chain: a JSON array as PostgreSQL's json_build_array(...)::text writes it, ", "
// between members.
namespace nomiqon::simulation {

class ChainLine {
  public:
    ChainLine() { members_.reserve(usual_length); }
    ChainLine& text(std::string_view value);
    ChainLine& text_or_null(std::string_view value);  ///< empty is null
    ChainLine& number(std::int64_t value);
    ChainLine& number_or_null(std::optional<std::int64_t> value);
    ChainLine& boolean(bool value);
    ChainLine& members(std::string_view more);  ///< that were written already
    /// The members alone; the array.
    [[nodiscard]] const std::string& members() const { return members_; }
    [[nodiscard]] std::string array() const { return "[" + members_ + "]"; }

  private:
    static constexpr std::size_t usual_length = 600;
    void begin();
    std::string members_;
};

}  // namespace nomiqon::simulation
