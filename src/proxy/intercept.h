#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <string>

#include "exchange.h"

// Inside TLS that ends at the gateway: each request is authorised, priced by what it asks, metered by what it
// got, and carries a credential that the agent never sees.

namespace nomiqon::proxy {

/// The server's side of a connection for `host`, with a leaf of the gateway's authority. The error is a
/// phrase for the log. Resumes on the worker.
boost::asio::awaitable<std::expected<tls::SslPtr, std::string>> server_tls(Worker& worker, HostName host);
/// Says why a client's handshake failed; call it right after.
void log_failed_handshake(Worker& worker, const Channel& client, const HostName& host, bool late);

/// Serves one request. Whether the client's connection can take another one.
boost::asio::awaitable<bool> serve_intercepted(Session& session, ClientRequest request);

}  // namespace nomiqon::proxy
