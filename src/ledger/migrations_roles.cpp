// Who may do what in the database: docs of the two group roles are in nomiqon/ledger/migrations.h.

#include <fmt/format.h>

#include "migrations_connection.h"
#include "migrations_lock.h"
#include "nomiqon/ledger/migrations.h"

namespace nomiqon {

namespace {

constexpr const char* runtime_role = "nomiqon_runtime";
constexpr const char* finance_role = "nomiqon_finance";

/// What one attempt finds out on its way. `connection` is in a transaction throughout.
struct Work {
    PgConnection& connection;
    const std::string& runtime_url;
    RuntimeLogin login;
    std::string owner;
    bool may_create = false;
    std::vector<std::string> warnings;

    std::expected<bool, PgError> holds(const std::string& condition,
                                       const std::vector<std::string>& values) const {
        const auto rows = connection.query("SELECT " + condition, values);
        if (!rows) return std::unexpected(rows.error());
        return !rows->empty() && rows->front().front() == "t";
    }
    std::expected<bool, PgError> role_exists(const std::string& role) const {
        return holds("EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", {role});
    }
};

std::expected<void, PgError> look_around(Work& work) {
    const auto rows = work.connection.query(
        "SELECT rolname, rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user");
    if (!rows) return std::unexpected(rows.error());
    work.owner = rows->at(0).at(0).value_or("");
    work.may_create = rows->at(0).at(1) == "t";
    return {};
}

/// Whether the role exists in the end.
std::expected<bool, PgError> make_role(Work& work, const std::string& role, RuntimeLogin login) {
    const auto exists = work.role_exists(role);
    if (!exists) return exists;
    const char* wish = login == RuntimeLogin::yes ? "LOGIN" : "NOLOGIN";
    if (*exists) {
        if (login == RuntimeLogin::no || !work.may_create) return true;
        auto altered = work.connection.execute(fmt::format("ALTER ROLE {} {}", role, wish));
        if (!altered) return std::unexpected(altered.error());
        return true;
    }
    if (!work.may_create) return false;
    auto made = work.connection.execute(fmt::format("CREATE ROLE {} {}", role, wish));
    if (!made) return std::unexpected(made.error());
    return true;
}

/// Only what is missing is changed, since each change makes the plans of all live gateways stale. `internal_`
/// is for functions that the others call as their owner (SECURITY DEFINER).
std::expected<void, PgError> grant_runtime(Work& work, const std::string& role) {
    const std::string name = work.connection.identifier(role);
    auto granted = work.connection.execute(fmt::format("GRANT USAGE ON SCHEMA nomiqon TO {}", name));
    if (!granted) return granted;
    const auto rows = work.connection.query(R"(
        SELECT format('%s EXECUTE ON %s %s %s %I', CASE WHEN wanted THEN 'GRANT' ELSE 'REVOKE' END,
                      CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, oid::regprocedure,
                      CASE WHEN wanted THEN 'TO' ELSE 'FROM' END, $1::text)
        FROM (SELECT p.oid, p.prokind, NOT starts_with(p.proname, 'internal_') AS wanted,
                     EXISTS (SELECT FROM aclexplode(p.proacl) a
                             WHERE a.grantee = (SELECT r.oid FROM pg_roles r WHERE r.rolname = $1)) AS has
              FROM pg_proc p WHERE p.pronamespace = 'nomiqon'::regnamespace) f
        WHERE wanted <> has)",
                                            {role});
    if (!rows) return std::unexpected(rows.error());
    for (const PgRow& row : *rows) {
        if (auto done = work.connection.execute(row.at(0).value_or("")); !done) return done;
    }
    return {};
}

std::expected<void, PgError> revoke_public(Work& work) {
    const auto rows = work.connection.query(R"(
        SELECT format('REVOKE ALL ON %s %s FROM PUBLIC',
                      CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
        FROM pg_proc p WHERE p.pronamespace = 'nomiqon'::regnamespace
         AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
        UNION ALL
        SELECT format('REVOKE ALL ON TABLE %s FROM PUBLIC', c.oid::regclass) FROM pg_class c
        WHERE c.relnamespace IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ('nomiqon', 'finance'))
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
        UNION ALL
        SELECT format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', n.nspname) FROM pg_namespace n
        WHERE n.nspname IN ('nomiqon', 'finance') AND EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee = 0))");
    if (!rows) return std::unexpected(rows.error());
    for (const PgRow& row : *rows) {
        if (auto done = work.connection.execute(row.at(0).value_or("")); !done) return done;
    }
    return {};
}

std::expected<void, PgError> grant_finance(Work& work) {
    const auto schema = work.holds("to_regnamespace('finance') IS NOT NULL", {});
    if (!schema) return std::unexpected(schema.error());
    if (!*schema) return {};
    auto granted = work.connection.execute(fmt::format("GRANT USAGE ON SCHEMA finance TO {}", finance_role));
    if (!granted) return granted;
    const auto rows = work.connection.query(R"(
        SELECT format('GRANT SELECT ON %s TO %I', c.oid::regclass, $1::text) FROM pg_class c
        WHERE c.relnamespace = 'finance'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
          AND NOT has_table_privilege($1, c.oid, 'SELECT'))",
                                            {finance_role});
    if (!rows) return std::unexpected(rows.error());
    for (const PgRow& row : *rows) {
        if (auto done = work.connection.execute(row.at(0).value_or("")); !done) return done;
    }
    return {};
}

/// Tried, not computed: what membership allows differs between PostgreSQL's versions (16 added WITH SET).
bool may_become(Work& work, const char* role) {
    return work.connection.attempt(fmt::format("SET LOCAL ROLE {}; RESET ROLE", role)).has_value();
}

void warn_about_rights(Work& work, const std::string& user) {
    const auto superuser = work.holds("rolsuper FROM pg_catalog.pg_roles WHERE rolname = $1", {user});
    const auto writes = work.holds(
        "EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'nomiqon'::regnamespace AND c.relkind IN "
        "('r', 'p') AND "
        "has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))",
        {user});
    if (superuser.value_or(false)) {
        work.warnings.push_back(
            fmt::format("the user {} of database.runtimeUrl is a superuser: use one that may only call the "
                        "ledger's functions",
                        user));
    } else if (writes.value_or(false)) {
        work.warnings.push_back(
            fmt::format("the user {} of database.runtimeUrl may write to the ledger's tables: use one that "
                        "is not their owner and "
                        "has no rights on schema nomiqon but those that the gateway gives it",
                        user));
    }
}

/// A user of its own: the strongest separation, for it can't go back to being the owner.
std::expected<void, PgError> serve_user(Work& work, const std::string& user, bool has_group) {
    bool through_group = user == runtime_role;
    if (!through_group && has_group) {
        const auto member = work.holds("pg_has_role($1, $2, 'USAGE')", {user, runtime_role});
        if (!member) return std::unexpected(member.error());
        through_group = *member || work.connection
                                       .attempt(fmt::format("GRANT {} TO {}", runtime_role,
                                                            work.connection.identifier(user)))
                                       .has_value();
        // A member with NOINHERIT has the group's rights only after SET ROLE.
        const auto inherits = work.holds("pg_has_role($1, $2, 'USAGE')", {user, runtime_role});
        through_group = through_group && inherits.value_or(false);
    }
    if (!through_group) {
        if (auto granted = grant_runtime(work, user); !granted) return granted;
    }
    const auto connects = work.holds("has_database_privilege($1, current_database(), 'CONNECT')", {user});
    if (connects && !*connects) {
        const auto rows = work.connection.query(
            "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', "
            "current_database(), $1::text)",
            {user});
        if (!rows) return std::unexpected(rows.error());
        if (!work.connection.attempt(rows->at(0).at(0).value_or(""))) {
            work.warnings.push_back(
                fmt::format("the user {} of database.runtimeUrl may not connect to this database: GRANT "
                            "CONNECT ON DATABASE",
                            user));
        }
    }
    warn_about_rights(work, user);
    return {};
}

/// Without a second URL the gateway connects as the owner and gives its rights away.
std::string role_to_set(Work& work, bool has_group) {
    if (!has_group) {
        work.warnings.push_back(fmt::format(
            "the gateway works as {0}, the owner of its tables, since {0} may not create roles: as an "
            "administrator run "
            "`CREATE ROLE {1} NOLOGIN; GRANT {1} TO {0};`, or give database.runtimeUrl another user",
            work.owner, runtime_role));
        return "";
    }
    if (may_become(work, runtime_role)) return runtime_role;
    const auto granted = work.connection.attempt(
        fmt::format("GRANT {} TO {}", runtime_role, work.connection.identifier(work.owner)));
    if (granted && may_become(work, runtime_role)) return runtime_role;
    work.warnings.push_back(
        fmt::format("the gateway works as {0}, the owner of its tables, since {0} may not become {1}: as an "
                    "administrator run "
                    "`GRANT {1} TO {0};`, or give database.runtimeUrl another user",
                    work.owner, runtime_role));
    return "";
}

struct Outcome {
    std::string set_role;
    std::string refusal;  ///< a mistake of the configuration, not of PostgreSQL
};

std::expected<Outcome, PgError> arrange(Work& work, const std::string& owner_user,
                                        const std::string& runtime_user) {
    if (auto done = look_around(work); !done) return std::unexpected(done.error());
    const auto group = make_role(work, runtime_role, work.login);
    if (!group) return std::unexpected(group.error());
    const auto finance = make_role(work, finance_role, RuntimeLogin::no);
    if (!finance) return std::unexpected(finance.error());
    if (auto done = revoke_public(work); !done) return std::unexpected(done.error());
    if (*group) {
        if (auto done = grant_runtime(work, runtime_role); !done) return std::unexpected(done.error());
    }
    if (*finance) {
        if (auto done = grant_finance(work); !done) return std::unexpected(done.error());
    } else {
        work.warnings.push_back(
            fmt::format("there is no role {0} for reading the reports, and {1} may not create it: as an "
                        "administrator run `CREATE "
                        "ROLE {0} NOLOGIN;`",
                        finance_role, work.owner));
    }
    if (work.runtime_url.empty()) return Outcome{.set_role = role_to_set(work, *group), .refusal = ""};
    if (runtime_user == work.owner || runtime_user == owner_user) {
        work.warnings.push_back(
            fmt::format("database.runtimeUrl has the same user as database.url ({}), so the gateway works as "
                        "the owner of its tables",
                        work.owner));
        return Outcome{};
    }
    const auto exists = work.role_exists(runtime_user);
    if (!exists) return std::unexpected(exists.error());
    if (!*exists) {
        return Outcome{
            .set_role = "",
            .refusal = fmt::format("database.runtimeUrl names the user {0}, which does not exist: as an "
                                   "administrator run `CREATE ROLE {0} LOGIN PASSWORD '…';`",
                                   work.connection.identifier(runtime_user))};
    }
    if (auto done = serve_user(work, runtime_user, *group); !done) return std::unexpected(done.error());
    return Outcome{};
}

/// Roles belong to the whole server, the advisory lock to one database: a gateway of another database of the
/// same server may do the same at the same moment.
bool is_race(const PgError& error) {
    return error.sqlstate == "42710" || error.sqlstate == "23505" || error.sqlstate == "40001" ||
           error.sqlstate == "40P01" || error.message.find("concurrently") != std::string::npos;
}

}  // namespace

std::expected<RoleReport, std::string> ensure_roles(const std::string& owner_url,
                                                    const std::string& runtime_url, RuntimeLogin login,
                                                    Duration connect_timeout) {
    const auto runtime_user = user_of(runtime_url);
    if (!runtime_user) return std::unexpected("database.runtimeUrl is malformed");
    auto connection = open_locked(owner_url, connect_timeout);
    if (!connection) return std::unexpected(connection.error());
    const std::string owner_user = user_of(owner_url).value_or("");

    constexpr int attempts = 10;
    for (int attempt = 1;; ++attempt) {
        Work work{.connection = *connection,
                  .runtime_url = runtime_url,
                  .login = login,
                  .owner = "",
                  .warnings = {}};
        if (auto begun = connection->execute("BEGIN"); !begun) return std::unexpected(begun.error().message);
        auto outcome = arrange(work, owner_user, *runtime_user);
        const auto ended = connection->execute(outcome ? "COMMIT" : "ROLLBACK");
        if (outcome && !ended) outcome = std::unexpected(ended.error());
        if (outcome && !outcome->refusal.empty()) return std::unexpected(outcome->refusal);
        if (outcome) {
            return RoleReport{.runtime_conninfo = runtime_url.empty() ? owner_url : runtime_url,
                              .set_role = outcome->set_role,
                              .warnings = std::move(work.warnings)};
        }
        if (attempt == attempts || !is_race(outcome.error())) {
            return std::unexpected(
                fmt::format("the database roles can't be arranged: {}", outcome.error().message));
        }
    }
}

}  // namespace nomiqon
