// The schema's versions: numbered files, applied once each, in order, under a lock.

#include "nomiqon/ledger/migrations.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "migrations_connection.h"
#include "migrations_lock.h"
#include "nomiqon/core/encoding.h"

namespace nomiqon {

namespace {

/// "nomiqon\0" in ASCII: any constant does that no other program uses in this database.
constexpr const char* lock_key = "7957699366229077504";

/// For each migration anew, so that what one sets doesn't change what the next one means. Waiting for a table
/// that a busy gateway uses must be short, because everyone else then waits behind us.
constexpr const char* session =
    "RESET SESSION AUTHORIZATION; RESET ALL; SET client_min_messages = warning; SET row_security = off; "
    "SET search_path = nomiqon, pg_catalog, pg_temp; SET statement_timeout = '15min'; SET lock_timeout = "
    "'30s';";

constexpr const char* bootstrap_table = R"(
CREATE TABLE IF NOT EXISTS nomiqon.schema_migrations (
    number          int PRIMARY KEY CHECK (number > 0),
    name            text NOT NULL,
    sha256          text NOT NULL,
    applied_at      timestamptz NOT NULL DEFAULT now(),
    gateway_version text NOT NULL
))";

struct Applied {
    std::string name;
    std::string sha256;
};

std::expected<void, std::string> check_numbers(std::span<const Migration> migrations) {
    int expected_number = 1;
    for (const Migration& migration : migrations) {
        if (migration.number != expected_number) {
            return std::unexpected(fmt::format("migration {} is not number {}: there is a gap",
                                               migration.name, expected_number));
        }
        ++expected_number;
    }
    return {};
}

std::expected<void, std::string> bootstrap(PgConnection& connection) {
    // Asked first: CREATE … IF NOT EXISTS wants the right to create even when there is nothing to do, and an
    // administrator may have made the schema for an owner without that right.
    const auto found = connection.query(
        "SELECT to_regnamespace('nomiqon') IS NULL, "
        "to_regclass('nomiqon.schema_migrations') IS NULL");
    if (!found) return std::unexpected(found.error().message);
    std::string script;
    if (found->at(0).at(0) == "t") script += "CREATE SCHEMA nomiqon;";
    if (found->at(0).at(1) == "t") script += bootstrap_table;
    if (script.empty()) return {};
    const auto made = connection.execute("BEGIN;" + script + ";COMMIT");
    if (made) return {};
    return std::unexpected(
        fmt::format("the schema `nomiqon` can't be made in this database: {}", made.error().message));
}

std::expected<std::map<int, Applied>, std::string> read_applied(PgConnection& connection) {
    const auto rows = connection.query("SELECT number, name, sha256 FROM nomiqon.schema_migrations");
    if (!rows) {
        return std::unexpected(
            fmt::format("nomiqon.schema_migrations can't be read: {}", rows.error().message));
    }
    std::map<int, Applied> applied;
    for (const PgRow& row : *rows) {
        applied[std::stoi(row.at(0).value_or("0"))] =
            Applied{.name = row.at(1).value_or(""), .sha256 = row.at(2).value_or("")};
    }
    return applied;
}

std::expected<void, std::string> check_applied(const std::map<int, Applied>& applied,
                                               std::span<const Migration> migrations) {
    int expected_number = 1;
    for (const auto& [number, row] : applied) {
        if (number > static_cast<int>(migrations.size())) {
            return std::unexpected(fmt::format(
                "the database is newer than this gateway: it has migration {}, and this gateway ({}) knows "
                "{} migrations. Start a gateway of that version or a newer one",
                row.name, NOMIQON_VERSION, migrations.size()));
        }
        if (number != expected_number) {
            return std::unexpected(
                fmt::format("migration {} is applied, but {} before it is not: there is a gap in "
                            "nomiqon.schema_migrations, which someone must have edited",
                            row.name, migrations[static_cast<std::size_t>(expected_number - 1)].name));
        }
        const Migration& migration = migrations[static_cast<std::size_t>(number - 1)];
        if (const std::string sha256 = sha256_hex(migration.sql); sha256 != row.sha256) {
            return std::unexpected(fmt::format(
                "migration {} was changed after it was applied (sha256 {} in the database, {} in this "
                "gateway): put the file back and write a new migration for the change",
                migration.name, row.sha256, sha256));
        }
        ++expected_number;
    }
    return {};
}

/// PostgreSQL counts characters, so UTF-8 continuation bytes don't count.
int line_of(std::string_view sql, int position) {
    int line = 1;
    int characters = 0;
    for (const char c : sql) {
        if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++characters >= position) break;
        if (c == '\n') ++line;
    }
    return line;
}

std::string failure(const Migration& migration, const PgError& error) {
    const std::string place = error.position ? fmt::format("line {}", line_of(migration.sql, *error.position))
                                             : fmt::format("statement {}", error.statement);
    return fmt::format("migration {}.sql failed, {}: {}{}{}", migration.name, place, error.message,
                       error.sqlstate.empty() ? "" : fmt::format(" [{}]", error.sqlstate),
                       error.context.empty() ? "" : "; in " + error.context);
}

std::expected<void, std::string> apply(PgConnection& connection, const Migration& migration) {
    const auto fail = [&](const PgError& error) { return std::unexpected(failure(migration, error)); };
    if (auto set = connection.execute(session); !set) return fail(set.error());
    if (auto begun = connection.execute("BEGIN"); !begun) return fail(begun.error());
    const auto before = connection.query("SELECT pg_current_xact_id()");
    if (!before) return fail(before.error());
    if (auto done = connection.execute(std::string{migration.sql}); !done) {
        // Should the connection be gone, so is the transaction.
        [[maybe_unused]] const auto undone = connection.execute("ROLLBACK");
        return fail(done.error());
    }
    const auto still = connection.query("SELECT pg_current_xact_id()");
    if (!connection.in_transaction() || !still || *still != *before) {
        [[maybe_unused]] const auto undone = connection.execute("ROLLBACK");
        return std::unexpected(
            fmt::format("migration {}.sql ends its own transaction, which it must not: part of it "
                        "may be in the database",
                        migration.name));
    }
    const auto recorded = connection.query(
        "INSERT INTO nomiqon.schema_migrations (number, name, sha256, gateway_version) VALUES ($1, $2, $3, "
        "$4)",
        {std::to_string(migration.number), std::string{migration.name}, sha256_hex(migration.sql),
         NOMIQON_VERSION});
    if (!recorded) return fail(recorded.error());
    if (auto committed = connection.execute("COMMIT"); !committed) return fail(committed.error());
    return {};
}

}  // namespace

std::expected<PgConnection, std::string> open_locked(const std::string& owner_url, Duration connect_timeout) {
    auto connection = PgConnection::open(owner_url, connect_timeout);
    if (!connection) return connection;
    if (connection->server_version() < 130000) {
        return std::unexpected(fmt::format("PostgreSQL 13 or newer is needed; the server is version {}",
                                           connection->server_version() / 10000));
    }
    // Another gateway's migrations may take a while; a start that waits for ever would look like a hang.
    auto locked = connection->execute(
        fmt::format("{} SET lock_timeout = '5min'; SELECT pg_advisory_lock({}); SET lock_timeout = '30s'",
                    session, lock_key));
    if (!locked) {
        return std::unexpected(fmt::format(
            "the lock for changing the schema can't be had{}: {}",
            locked.error().sqlstate == "55P03" ? " (another gateway holds it)" : "", locked.error().message));
    }
    return connection;
}

std::expected<MigrationReport, std::string> migrate(const std::string& owner_url,
                                                    std::span<const Migration> migrations,
                                                    Duration connect_timeout) {
    if (auto sound = check_numbers(migrations); !sound) return std::unexpected(sound.error());
    auto connection = open_locked(owner_url, connect_timeout);
    if (!connection) return std::unexpected(connection.error());
    if (auto made = bootstrap(*connection); !made) return std::unexpected(made.error());
    const auto applied = read_applied(*connection);
    if (!applied) return std::unexpected(applied.error());
    if (auto sound = check_applied(*applied, migrations); !sound) return std::unexpected(sound.error());

    MigrationReport report{.version = static_cast<int>(migrations.size()), .applied = {}};
    for (const Migration& migration : migrations.subspan(applied->size())) {
        if (auto done = apply(*connection, migration); !done) return std::unexpected(done.error());
        report.applied.emplace_back(migration.name);
    }
    return report;
}

}  // namespace nomiqon
