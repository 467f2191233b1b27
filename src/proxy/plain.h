#pragma once

#include <boost/asio/awaitable.hpp>

#include "credentials.h"
#include "nomiqon/core/host.h"
#include "request_head.h"
#include "session.h"

// A request in plain HTTP, forwarded on its own: authorised, sent, answered and settled. RFC 9110 section 7,
// RFC 9112.

namespace nomiqon::proxy {

struct PlainRequest {
    RequestHead head;
    Endpoint target;
    Credentials credentials;
    RequestId request_id;
    bool inside = false;              ///< inside a connection that CONNECT opened
    bool token_from_connect = false;  ///< the token stood on that CONNECT
    bool last = false;                ///< its answer closes the connection
};

/// Serves one request. Whether the client's connection can take another one.
boost::asio::awaitable<bool> serve_plain(Session& session, PlainRequest request);

}  // namespace nomiqon::proxy
