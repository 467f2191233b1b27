#include "pagination.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "nomiqon/core/encoding.h"

namespace nomiqon::admin {
namespace {

constexpr int most_rows = 200;
constexpr std::size_t longest_id = 64;
constexpr std::size_t digits_of_bigint = 18;  // that can't overflow
constexpr std::size_t digits_of_integer = 9;

std::string encode_cursor(std::string_view kind, std::string_view key) {
    const auto text = std::string{kind} + ':' + std::string{key};
    const Bytes bytes(text.begin(), text.end());
    return base64url_encode(bytes);
}

/// Only what `encode_cursor` could have made of an id or a number: the database is handed nothing else.
std::optional<std::string> decode_cursor(std::string_view kind, std::string_view cursor) {
    const auto text = base64url_decode(cursor);
    const auto prefix = std::string{kind} + ':';
    if (!text || !text->starts_with(prefix)) return std::nullopt;
    auto key = text->substr(prefix.size());
    const bool numeric = kind == "transfers" || kind == "versions";
    const std::size_t longest = kind == "transfers"  ? digits_of_bigint
                                : kind == "versions" ? digits_of_integer
                                                     : longest_id;
    const bool fits = !key.empty() && key.size() <= longest;
    const bool well_formed = std::ranges::all_of(key, [&](char c) {
        return (c >= '0' && c <= '9') || (!numeric && ((c >= 'a' && c <= 'z') || c == '_'));
    });
    if (!fits || !well_formed) return std::nullopt;
    return key;
}

}  // namespace

Result<Page> read_page(const Query& query, std::string_view kind) {
    Page page;
    if (const auto limit = query.find("limit"); limit != query.end()) {
        const auto& text = limit->second;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), page.limit);
        if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || page.limit < 1 ||
            page.limit > most_rows) {
            return std::unexpected(validation_error("must be a number from 1 to 200", "/limit"));
        }
    }
    if (const auto after = query.find("after"); after != query.end()) {
        page.after = decode_cursor(kind, after->second);
        if (!page.after) {
            return std::unexpected(
                validation_error("must be the `nextCursor` of a page of this list", "/after"));
        }
    }
    return page;
}

Answer page_of(json found, const Page& page, std::string_view kind, std::string_view key) {
    json rows = std::move(found.at("items"));
    const bool more = rows.size() > static_cast<std::size_t>(page.limit);
    if (more) rows.erase(rows.size() - 1);
    Answer answer{.data = json{}, .meta = {{"hasMore", more}, {"nextCursor", nullptr}}};
    if (more) {
        const json& last = rows.back().at(std::string{key});
        answer.meta["nextCursor"] =
            encode_cursor(kind, last.is_string() ? last.get<std::string>() : last.dump());
    }
    if (found.contains("total")) answer.meta["total"] = found["total"];
    answer.data = std::move(rows);
    return answer;
}

Awaitable<Outcome> list(const Context& context, const ApiRequest& request, std::string function,
                        json arguments, std::string_view kind, std::string_view key) {
    const auto page = read_page(request.query, kind);
    if (!page) co_return std::unexpected(page.error());
    arguments["limit"] = page->limit;
    if (page->after) arguments["after"] = *page->after;
    auto found = co_await read(context, std::move(function), std::move(arguments));
    if (!found) co_return std::unexpected(found.error());
    co_return page_of(*std::move(found), *page, kind, key);
}

}  // namespace nomiqon::admin
