#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api.h"

namespace nomiqon::admin {

struct Page {
    int limit = 50;
    std::optional<std::string> after{};  ///< the last row that the caller has
};

/// `limit` and `after`. A cursor is of one kind of list: its text is opaque, and one of another list is
/// refused.
[[nodiscard]] Result<Page> read_page(const Query& query, std::string_view kind);

/// The rows of `{"items": […], "total"?}`, of which one more than the limit says that there are more. `key`
/// is the member of a row that the list is ordered by.
[[nodiscard]] Answer page_of(json found, const Page& page, std::string_view kind,
                             std::string_view key = "id");

/// The whole of a call that lists.
Awaitable<Outcome> list(const Context& context, const ApiRequest& request, std::string function,
                        json arguments, std::string_view kind, std::string_view key = "id");

}  // namespace nomiqon::admin
