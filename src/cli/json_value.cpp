#include "json_value.h"

#include "nomiqon/core/strict_json.h"

namespace nomiqon::cli {

Outcome<Json> parse_json(std::string_view text, std::string_view what) {
    // The strict reader bounds the nesting, which the other one and `dump` do not.
    if (auto strict = parse_strict_json(text); !strict) {
        std::string place;
        if (strict.error().line > 0) {
            place = " (line " + std::to_string(strict.error().line) + ", column " +
                    std::to_string(strict.error().column) + ")";
        }
        return failed(std::string{what} + " is not the JSON that was expected: " + strict.error().message +
                      place);
    }
    return Json::parse(text, nullptr, false);
}

const Json& at(const Json& value, std::initializer_list<std::string_view> path) {
    static const Json nothing;
    const Json* current = &value;
    for (const auto name : path) {
        if (!current->is_object()) return nothing;
        const auto member = current->find(name);
        if (member == current->end()) return nothing;
        current = &*member;
    }
    return *current;
}

std::string text_at(const Json& value, std::initializer_list<std::string_view> path) {
    const Json& found = at(value, path);
    if (found.is_null()) return {};
    if (found.is_string()) return found.get<std::string>();
    return found.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string pretty(const Json& value) {
    return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nomiqon::cli
