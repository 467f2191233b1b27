#include "output.h"

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "nomiqon/core/time.h"

namespace nomiqon::cli {
namespace {

constexpr std::string_view column_gap = "  ";

void write(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
}

/// A ref, a name or a host may come from an agent: none of it may move the cursor or recolour the terminal.
std::string printable(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        // U+0080–009F are C2 80–9F in UTF-8, and terminals obey them too.
        const bool c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        if (byte >= 0x20 && byte != 0x7f && !c1) {
            result += text[i];
            continue;
        }
        const unsigned code = c1 ? next : byte;
        result += "\\x";
        result += hex[code >> 4];
        result += hex[code & 15];
        if (c1) ++i;
    }
    return result;
}

/// Characters, not bytes: enough for aligning names in most scripts.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string aligned(std::string_view text, std::size_t columns, bool right) {
    const std::string padding(columns - std::min(columns, width(text)), ' ');
    return right ? padding + std::string{text} : std::string{text} + padding;
}

bool wants_bold() {
    const char* const no_color = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') && terminal != nullptr &&
           std::string_view{terminal} != "dumb";
}

bool is_number(const Json& value) {
    if (value.is_number()) return true;
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    const auto digits = text.starts_with('-') ? std::string_view{text}.substr(1) : std::string_view{text};
    return !digits.empty() && digits.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string cell(const Json& value) {
    if (value.is_string()) return short_time(value.get_ref<const std::string&>());
    if (value.is_null()) return {};
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Output::Output(bool json) : json_(json), bold_(wants_bold()) {}

void Output::data(const Json& value) {
    write(stdout, pretty(value) + '\n');
}

void Output::line(std::string_view text) {
    write(stdout, printable(text) + '\n');
}

void Output::raw(std::string_view text) {
    write(stdout, text);
}

void Output::table(const Table& table, std::string_view when_empty) {
    if (table.rows.empty()) return note(when_empty);
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    for (const auto& column : table.columns)
        widths.push_back(width(column.title));
    for (const auto& row : table.rows) {
        auto& shown = cells.emplace_back();
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            shown.push_back(i < row.size() ? printable(row[i]) : std::string{});
            widths[i] = std::max(widths[i], width(shown.back()));
        }
    }
    const auto print = [&](const auto& text_of) {
        std::string text;
        for (std::size_t i = 0; i < table.columns.size(); ++i)
            text += (i > 0 ? std::string{column_gap} : "") +
                    aligned(text_of(i), widths[i], table.columns[i].right);
        text.erase(text.find_last_not_of(' ') + 1);
        return text;
    };
    const auto header = print([&](std::size_t i) -> const std::string& { return table.columns[i].title; });
    write(stdout, (bold_ ? "\x1b[1m" + header + "\x1b[0m" : header) + '\n');
    for (const auto& row : cells)
        write(stdout, print([&](std::size_t i) -> const std::string& { return row[i]; }) + '\n');
}

void Output::fields(const Fields& fields) {
    std::size_t longest = 0;
    for (const auto& [name, value] : fields)
        if (!value.empty()) longest = std::max(longest, name.size());
    for (const auto& [name, value] : fields)
        if (!value.empty()) line(aligned(name, longest + column_gap.size(), false) + value);
}

void Output::note(std::string_view text) {
    write(stderr, "nomiqon: " + printable(text) + '\n');
}

void Output::failure(const Failure& failure) {
    if (json_) {
        Json error{{"message", failure.message}};
        if (!failure.code.empty()) error["code"] = failure.code;
        if (!failure.param.empty()) error["param"] = failure.param;
        if (!failure.request_id.empty()) error["requestId"] = failure.request_id;
        if (!failure.hint.empty()) error["hint"] = failure.hint;
        return write(stderr, pretty({{"error", std::move(error)}}) + '\n');
    }
    std::string text = failure.message;
    if (!failure.param.empty()) text += " [" + failure.param + "]";
    std::string origin = failure.code;
    if (!failure.request_id.empty())
        origin += (origin.empty() ? "" : ", ") + std::string{"request "} + failure.request_id;
    if (!origin.empty()) text += " (" + origin + ")";
    note(text);
    if (!failure.hint.empty()) write(stderr, "  hint: " + printable(failure.hint) + '\n');
}

bool Output::finish() {
    const bool flushed = std::fflush(stdout) == 0;
    return flushed && std::ferror(stdout) == 0;
}

std::string short_time(std::string_view time) {
    if (time.size() < 20 || time[10] != 'T' || !time.ends_with('Z') || !parse_time(time))
        return std::string{time};
    return std::string{time.substr(0, 10)} + ' ' + std::string{time.substr(11, 8)} + 'Z';
}

Table table_of(const Json& rows, const std::vector<std::string>& first) {
    std::set<std::string> members;
    std::set<std::string> texts;  // members that are not numbers throughout
    for (const auto& row : rows) {
        for (const auto& [name, value] : row.items()) {
            members.insert(name);
            if (!value.is_null() && !is_number(value)) texts.insert(name);
        }
    }
    std::vector<std::string> names;
    for (const auto& name : first)
        if (members.erase(name) > 0) names.push_back(name);
    names.insert(names.end(), members.begin(), members.end());

    Table table;
    for (const auto& name : names)
        table.columns.push_back({.title = name, .right = !texts.contains(name)});
    for (const auto& row : rows) {
        auto& cells = table.rows.emplace_back();
        for (const auto& name : names)
            cells.push_back(row.is_object() ? cell(at(row, {name})) : std::string{});
    }
    return table;
}

}  // namespace nomiqon::cli
