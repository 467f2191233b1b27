#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/time.h"

namespace nomiqon {

/// One file of migrations/: `0001_name.sql`.
struct Migration {
    int number = 0;
    std::string_view name;  ///< the file's name without `.sql`
    std::string_view sql;
};

/// The files of migrations/, in order, as they were when this binary was built.
[[nodiscard]] std::span<const Migration> embedded_migrations();

struct MigrationReport {
    int version = 0;                   ///< of the schema: the number of the last migration
    std::vector<std::string> applied;  ///< by this call
};

/// Brings the database up to the last of `migrations`, as the URL's owner. Each runs once, in a transaction
/// with its row in nomiqon.schema_migrations (number, name, sha256, applied_at, gateway_version); of a
/// failing one nothing stays. Refused, with nothing changed: a gap, a file that was changed after it was
/// applied, a database that is newer than this binary. Gateways that start together wait for each other (an
/// advisory lock). A migration must not end its own transaction; its unqualified names mean schema nomiqon.
[[nodiscard]] std::expected<MigrationReport, std::string> migrate(const std::string& owner_url,
                                                                  std::span<const Migration> migrations,
                                                                  Duration connect_timeout);

/// Whether the role `nomiqon_runtime` may log in: on the private PostgreSQL alone, where the socket's
/// directory is the lock; elsewhere it is a group, and people make the user that logs in.
enum class RuntimeLogin : std::uint8_t { no, yes };

/// How the gateway works with the database.
struct RoleReport {
    std::string runtime_conninfo;       ///< what to connect with
    std::string set_role;               ///< then `SET ROLE` to this; empty: don't
    std::vector<std::string> warnings;  ///< each with what would mend it
};

/// Makes the roles `nomiqon_runtime` and `nomiqon_finance` where the owner may, and gives them what they need
/// and nothing else: the first may call the functions in schema nomiqon whose name doesn't begin with
/// `internal_`, the second may read the views in schema finance; PUBLIC gets nothing. The user of
/// `runtime_url` (empty: none is configured) gets the first role's rights. After every `migrate`; idempotent;
/// safe among gateways that start together.
[[nodiscard]] std::expected<RoleReport, std::string> ensure_roles(
    const std::string& owner_url, const std::string& runtime_url, RuntimeLogin login = RuntimeLogin::no,
    Duration connect_timeout = Duration{10'000});

}  // namespace nomiqon
