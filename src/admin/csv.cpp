#include "csv.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace nomiqon::admin {
namespace {

std::string cell(std::string text) {
    // OWASP "CSV Injection": what a spreadsheet takes for the beginning of a formula.
    if (!text.empty() && std::string_view{"=+-@\t\r"}.contains(text.front())) text.insert(0, 1, '\'');
    if (text.find_first_of(",\"\r\n;\t") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}

}  // namespace

std::string to_csv(const nlohmann::json& rows, std::span<const std::string> columns) {
    std::string csv;
    const auto end_line = [&] {
        if (!csv.empty() && csv.back() == ',') csv.pop_back();
        csv += "\r\n";
    };
    for (const auto& column : columns)
        csv += cell(column) + ',';
    end_line();
    for (const auto& row : rows) {
        for (const auto& column : columns) {
            const auto& value = row.at(column);
            if (value.is_string()) csv += cell(value.get<std::string>());
            if (value.is_number()) csv += value.dump();
            csv += ',';
        }
        end_line();
    }
    return csv;
}

}  // namespace nomiqon::admin
