#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "body_framing.h"
#include "head_lines.h"
#include "nomiqon/core/refusal.h"

// The head of an upstream's answer, RFC 9112 sections 4 to 6, as strictly as a request: what could be read in
// two ways could make the client see answers that the gateway didn't meter.

namespace nomiqon::proxy {

struct ResponseHead {
    int minor_version = 1;
    int status = 0;
    std::string reason{};  ///< as written; may be empty
    HeaderFields headers{};
    std::optional<std::uint64_t> content_length{};  ///< as written, also where there is no body (HEAD, 304)
    bool chunked = false;
    bool keep_alive =
        true;            ///< whether the upstream's connection can carry another request after this answer
    BodyFraming body{};  ///< what follows the head
    std::size_t consumed = 0;

    /// 1xx: another head follows (not after 101, which ends HTTP).
    [[nodiscard]] bool informational() const { return status < 200; }
};

/// Reads one head from bytes that arrive in pieces. A new one for each head; an informational one is followed
/// by another. The refusal is `upstream_unreachable` with a `detail` that begins with "malformed answer".
class ResponseHeadReader {
  public:
    /// `to_head`: the answer to a HEAD request, which has no body whatever it says.
    ResponseHeadReader(HeadLimits limits, bool to_head)
        : limits_(limits), scanner_(limits), to_head_(to_head) {}

    /// `received`: all bytes so far, from the same beginning in every call. No value: read more.
    std::expected<std::optional<ResponseHead>, Refusal> read(std::string_view received);

  private:
    HeadLimits limits_;
    HeadScanner scanner_;
    bool to_head_;
};

}  // namespace nomiqon::proxy
