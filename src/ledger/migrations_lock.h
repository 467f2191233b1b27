#pragma once

#include <expected>
#include <string>

#include "migrations_connection.h"

namespace nomiqon {

/// Connects, and takes the advisory lock under which schema and roles are changed; it ends with the
/// connection.
[[nodiscard]] std::expected<PgConnection, std::string> open_locked(const std::string& owner_url,
                                                                   Duration connect_timeout);

}  // namespace nomiqon
