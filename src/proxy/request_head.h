#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "body_framing.h"
#include "head_lines.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/refusal.h"

// The head of a request to a forward proxy, RFC 9112 sections 2 to 6, read so that no other reader of the
// same bytes can see another request in them: where the RFC lets a recipient be lenient, this one refuses.

namespace nomiqon::proxy {

enum class TargetForm : std::uint8_t {
    absolute,   ///< `GET http://host/path`: a plain request
    authority,  ///< `CONNECT host:port`
    origin,     ///< `GET /path`: inside a connection that has a target already
    asterisk,   ///< `OPTIONS *`: likewise
};

struct RequestTarget {
    TargetForm form = TargetForm::origin;
    std::optional<Endpoint> endpoint{};  ///< of the absolute and the authority form
    std::string path_and_query{};        ///< byte for byte as written, at least `/` or `*`; empty for CONNECT
    /// Without the query: what prices, policies and bindings look at.
    [[nodiscard]] std::string_view path() const {
        return std::string_view{path_and_query}.substr(0, path_and_query.find('?'));
    }
};

/// What a Host field says.
struct HostField {
    HostName host;
    std::optional<std::uint16_t> port{};
};

struct RequestHead {
    std::string method{};
    int minor_version = 1;  ///< HTTP/1.0 or HTTP/1.1
    RequestTarget target{};
    HeaderFields headers{};
    std::optional<HostField> host{};  ///< agrees with the target where that names a host
    std::optional<std::uint64_t> content_length{};
    bool chunked = false;
    bool keep_alive = true;        ///< what the client wishes
    bool expect_continue = false;  ///< waits for `100 Continue` (never set by HTTP/1.0)
    bool wants_upgrade = false;
    std::size_t consumed = 0;  ///< bytes of the head, the empty line included

    [[nodiscard]] bool is_connect() const { return target.form == TargetForm::authority; }
    [[nodiscard]] BodyFraming framing() const {
        if (chunked) return {.kind = BodyKind::chunked};
        if (content_length) return {.kind = BodyKind::length, .length = *content_length};
        return {};
    }
};

/// Reads one head from bytes that arrive in pieces. A new one for each request.
class RequestHeadReader {
  public:
    explicit RequestHeadReader(HeadLimits limits) : limits_(limits), scanner_(limits) {}

    /// `received`: all bytes so far, from the same beginning in every call. No value: read more. Refusals:
    /// `bad_request`, `header_too_large`; after one the connection can't be read any further and is to be
    /// closed.
    std::expected<std::optional<RequestHead>, Refusal> read(std::string_view received);

  private:
    HeadLimits limits_;
    HeadScanner scanner_;
};

/// For a request inside a connection whose target is known (CONNECT host:80): it must be no CONNECT, and its
/// Host and its absolute form must be that very target (`bad_request`). HTTP/1.0 may have no Host.
[[nodiscard]] std::optional<Refusal> check_inner_target(const RequestHead& head, const Endpoint& connected,
                                                        Scheme scheme);

}  // namespace nomiqon::proxy
