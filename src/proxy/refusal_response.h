#pragma once

#include <string>
#include <string_view>

#include "nomiqon/core/refusal.h"

namespace nomiqon::proxy {

struct RefusalContext {
    std::string_view request_id{};  ///< `req_…`
    bool inside = false;            ///< inside a connection that CONNECT opened: 401 instead of 407
    bool close = false;             ///< the session closes the connection after this answer
    bool to_head = false;           ///< the answer to a HEAD request: no body, but its length
};

/// The whole answer to a refused request, as spec "What a refusal looks like": ready to be written.
/// `refusal.detail` is for the log and doesn't appear in it.
[[nodiscard]] std::string render_refusal(const Refusal& refusal, const RefusalContext& context);

/// Its JSON body alone.
[[nodiscard]] std::string refusal_body(const Refusal& refusal, std::string_view request_id);

}  // namespace nomiqon::proxy
