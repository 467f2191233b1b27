#pragma once

#include <memory>

#include "issuer.h"
#include "nomiqon/core/host.h"
#include "nomiqon/tls/openssl.h"
#include "ticket_keys.h"

namespace nomiqon::tls {

/// What both sides share: versions, modes and what is switched off.
[[nodiscard]] bool set_common_options(SSL_CTX* context);

/// The context that a host's clients are served with; see LeafCache for what it does. Null where OpenSSL has
/// no memory. It keeps `tickets` alive.
[[nodiscard]] ContextPtr make_server_context(const HostName& host, X509* leaf, EVP_PKEY* leaf_key,
                                             const Issuer& issuer, std::shared_ptr<TicketKeys> tickets);

}  // namespace nomiqon::tls
