#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace nomiqon::config_detail {

/// Where the members and elements of a JSON document (RFC 8259, comments allowed) stand in its text, so that
/// a mistake found in a value can be shown by line. The text must have been read by parse_strict_json
/// already.
class Places {
  public:
    explicit Places(std::string_view text);

    /// `line:column` of the member's name or the element; of the nearest parent if the pointer leads nowhere.
    [[nodiscard]] std::string of(std::string_view pointer) const;

  private:
    void skip_blanks();
    void skip_string();
    void visit_value(const std::string& pointer);
    void visit_object(const std::string& pointer);
    void visit_array(const std::string& pointer);
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    std::string_view text_;
    std::size_t at_ = 0;
    std::unordered_map<std::string, std::size_t> offsets_;
};

}  // namespace nomiqon::config_detail
