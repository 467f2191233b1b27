#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

/// Where the system's roots lie: `SSL_CERT_FILE`, else what OpenSSL was built for, else where distributions
/// put them. Empty: nowhere.
[[nodiscard]] std::filesystem::path system_roots_file();

/// A store of the system's roots and of the certificates in `extra` (empty: none). Everything in it is
/// trusted, an intermediate or a server's own certificate too.
[[nodiscard]] std::expected<StorePtr, std::string> make_root_store(const std::filesystem::path& extra);

}  // namespace nomiqon::tls
