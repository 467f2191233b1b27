// multipart/form-data: RFC 7578 on top of RFC 2046, section 5.1. Strict: what OpenAI's SDKs, curl and
// browsers write is taken, and nothing that two parsers could cut at different places.

#include "openai_form.h"

#include <algorithm>
#include <utility>

#include "nomiqon/core/encoding.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

constexpr std::size_t max_parts = 256;
constexpr std::size_t max_boundary = 70;  // RFC 2046
constexpr std::size_t max_text = 1024UL * 1024;

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return result;
}

/// The value of `name=` in a header field's parameters; `count` receives how many there are.
std::string_view parameter(std::string_view value, std::string_view name, int& count) {
    std::string_view found;
    count = 0;
    std::size_t at = value.find(';');
    while (at != std::string_view::npos) {
        at = value.find_first_not_of(" \t", at + 1);
        if (at == std::string_view::npos) break;
        const auto equals = value.find('=', at);
        if (equals == std::string_view::npos) break;
        const std::string_view key = value.substr(at, equals - at);
        std::size_t end = 0;
        std::string_view text;
        if (equals + 1 < value.size() && value[equals + 1] == '"') {
            end = value.find('"', equals + 2);
            if (end == std::string_view::npos) return {};
            text = value.substr(equals + 2, end - equals - 2);
            at = value.find(';', end);
        } else {
            end = std::min(value.find(';', equals), value.size());
            text = value.substr(equals + 1, end - equals - 1);
            at = end < value.size() ? end : std::string_view::npos;
        }
        if (lower(key) != name) continue;
        ++count;
        found = text;
    }
    return found;
}

std::unexpected<Refusal> malformed(const char* why) {
    return std::unexpected(bad_request(why));
}

/// The value of Content-Disposition in a part's head; empty: there is none, or more than one.
std::string_view disposition_of(std::string_view head) {
    std::string_view found;
    while (!head.empty()) {
        const auto end = std::min(head.find("\r\n"), head.size());
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(std::min(end + 2, head.size()));
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || lower(line.substr(0, colon)) != "content-disposition")
            continue;
        if (!found.empty()) return {};
        found = line.substr(colon + 1);
    }
    return found;
}

std::expected<void, Refusal> add_part(std::string_view part, Form& form) {
    const auto end = part.find("\r\n\r\n");
    if (end == std::string_view::npos) return malformed("a part of the form has no head");
    const std::string_view content = part.substr(end + 4);
    const std::string_view disposition = disposition_of(part.substr(0, end));
    // `filename*` and `name*` are other spellings of the same (RFC 7578, section 4.2).
    if (disposition.find('*') != std::string_view::npos)
        return malformed("a name in the form is written in a second way");
    int names = 0;
    int files = 0;
    const std::string name{parameter(disposition, "name", names)};
    static_cast<void>(parameter(disposition, "filename", files));
    if (names != 1 || files > 1 || name.empty()) return malformed("a part of the form has no single name");
    if (files == 1) {
        form.file_bytes += content.size();
    } else {
        form.text_bytes += content.size();
    }
    if (name.ends_with("[]")) return {};
    if (files == 0 && (content.size() > max_text || !is_utf8(content)))
        return malformed("a field of the form is no text");
    if (!form.fields.emplace(name, files == 1 ? std::string{} : std::string{content}).second) {
        return malformed("a field of the form is repeated");
    }
    return {};
}

/// Names that another parser could take for one of another case or spelling, as `check_spelling` for JSON.
std::expected<void, Refusal> check_names(const Form& form) {
    std::map<std::string, int> folded;
    for (const auto& [name, value] : form.fields) {
        std::string plain = lower(name);
        std::erase_if(plain, [](char c) { return c == '_' || c == '-'; });
        if (++folded[plain] > 1) return malformed("two fields of the form have one name in two spellings");
        if (name != lower(name)) return malformed("a field of the form is written in another case");
    }
    return {};
}

}  // namespace

std::optional<std::string_view> Form::find(std::string_view name) const {
    const auto found = fields.find(name);
    if (found == fields.end()) return std::nullopt;
    return found->second;
}

std::expected<Form, Refusal> read_form(const Call& call, std::string_view body) {
    const std::string_view type = field_value(call.fields, "content-type");
    int boundaries = 0;
    const std::string_view boundary = parameter(type, "boundary", boundaries);
    if (lower(type.substr(0, type.find(';'))) != "multipart/form-data" || boundaries != 1 ||
        boundary.empty() || boundary.size() > max_boundary) {
        return malformed("the body is no form with one boundary");
    }
    const std::string delimiter = "\r\n--" + std::string{boundary};
    const std::string_view first = std::string_view{delimiter}.substr(2);
    if (!body.starts_with(first)) return malformed("the form does not begin with its boundary");
    body.remove_prefix(first.size());

    Form form;
    for (std::size_t parts = 0; !body.starts_with("--"); ++parts) {
        if (parts == max_parts) return malformed("the form has too many parts");
        if (!body.starts_with("\r\n")) return malformed("a boundary of the form goes on");
        body.remove_prefix(2);
        const auto end = body.find(delimiter);
        if (end == std::string_view::npos) return malformed("the form does not end with its boundary");
        if (auto added = add_part(body.substr(0, end), form); !added) return std::unexpected(added.error());
        body.remove_prefix(end + delimiter.size());
    }
    body.remove_prefix(2);
    if (!body.empty() && body != "\r\n") return malformed("there are bytes behind the form");
    if (auto names = check_names(form); !names) return std::unexpected(names.error());
    return form;
}

}  // namespace nomiqon::metering
