#include "config_places.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "nomiqon/core/strict_json.h"

namespace nomiqon::config_detail {

Places::Places(std::string_view text) : text_(text) {
    skip_blanks();
    visit_value("");
}

std::string Places::of(std::string_view pointer) const {
    auto found = offsets_.find(std::string(pointer));
    while (found == offsets_.end() && !pointer.empty()) {
        pointer = pointer.substr(0, pointer.rfind('/'));
        found = offsets_.find(std::string(pointer));
    }
    const auto before = text_.substr(0, found == offsets_.end() ? 0 : found->second);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return std::to_string(line) + ':' + std::to_string(before.size() - line_start + 1);
}

void Places::skip_blanks() {
    while (at_ < text_.size()) {
        const auto rest = text_.substr(at_);
        if (rest.starts_with("//")) {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (rest.starts_with("/*")) {
            const auto end = text_.find("*/", at_ + 2);
            at_ = end == std::string_view::npos ? text_.size() : end + 2;
        } else if (std::string_view(" \t\r\n").contains(rest.front())) {
            ++at_;
        } else {
            return;
        }
    }
}

void Places::skip_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
        if (text_[at_] == '\\') ++at_;
    }
    at_ = std::min(at_ + 1, text_.size());
}

void Places::visit_value(const std::string& pointer) {
    offsets_.emplace(pointer, at_);  // a member's name came first and stays
    switch (peek()) {
        case '{':
            return visit_object(pointer);
        case '[':
            return visit_array(pointer);
        case '"':
            return skip_string();
        default:
            at_ = std::min(text_.find_first_of(",]}/ \t\r\n", at_), text_.size());
    }
}

void Places::visit_object(const std::string& pointer) {
    ++at_;
    for (skip_blanks(); peek() == '"'; skip_blanks()) {
        const auto start = at_;
        skip_string();
        const auto name = nlohmann::json::parse(text_.substr(start, at_ - start), nullptr, false);
        const auto member =
            pointer + '/' + json_pointer_token(name.is_string() ? name.get<std::string>() : "");
        offsets_.emplace(member, start);
        skip_blanks();
        ++at_;  // ':'
        skip_blanks();
        visit_value(member);
        skip_blanks();
        if (peek() == ',') ++at_;
    }
    ++at_;
}

void Places::visit_array(const std::string& pointer) {
    ++at_;
    skip_blanks();
    for (std::size_t index = 0; at_ < text_.size() && peek() != ']'; ++index) {
        visit_value(pointer + '/' + std::to_string(index));
        skip_blanks();
        if (peek() == ',') ++at_;
        skip_blanks();
    }
    ++at_;
}

}  // namespace nomiqon::config_detail
