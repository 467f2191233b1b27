#pragma once

#include <boost/asio/awaitable.hpp>

#include "exchange.h"

namespace nomiqon::proxy {

/// Serves one request in plain HTTP, at its route's flat price. Whether the client's connection can take
/// another one.
boost::asio::awaitable<bool> serve_plain(Session& session, ClientRequest request);

}  // namespace nomiqon::proxy
