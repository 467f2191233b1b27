#include "migrations_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace nomiqon {

namespace {

struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

std::string trimmed(const char* text) {
    std::string value = text == nullptr ? "" : text;
    while (!value.empty() && (value.back() == '\n' || value.back() == ' '))
        value.pop_back();
    std::replace(value.begin(), value.end(), '\n', ' ');
    return value;
}

PgError error_of(const PGresult* result, const PGconn* connection) {
    const auto field = [result](int code) { return trimmed(PQresultErrorField(result, code)); };
    PgError error;
    error.message = field(PG_DIAG_MESSAGE_PRIMARY);
    if (const std::string detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty())
        error.message += ": " + detail;
    if (const std::string hint = field(PG_DIAG_MESSAGE_HINT); !hint.empty())
        error.message += " (" + hint + ")";
    if (error.message.empty()) error.message = trimmed(PQerrorMessage(connection));
    error.sqlstate = field(PG_DIAG_SQLSTATE);
    error.context = field(PG_DIAG_CONTEXT);
    const std::string position = field(PG_DIAG_STATEMENT_POSITION);
    int value = 0;
    std::from_chars(position.data(), position.data() + position.size(), value);
    if (value > 0) error.position = value;
    return error;
}

bool is_good(const PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

bool is_copy(const PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

}  // namespace

std::expected<PgConnection, std::string> PgConnection::open(const std::string& url, Duration timeout) {
    // libpq's own message for a malformed URL may quote the part with the password.
    if (!user_of(url))
        return std::unexpected("the database URL is malformed (expected postgresql://… or key=value …)");
    // Whole seconds, and libpq takes 1 for 2. What the URL says goes before (it is expanded later).
    const std::string seconds = std::to_string(std::max<long long>(2, timeout.count() / 1000));
    const char* keywords[] = {"connect_timeout", "fallback_application_name", "dbname", "client_encoding",
                              nullptr};
    const char* values[] = {seconds.c_str(), "nomiqon-gateway", url.c_str(), "UTF8", nullptr};
    PgConnection connection{PQconnectdbParams(keywords, values, 1)};
    PGconn* raw = connection.connection_.get();
    if (PQstatus(raw) != CONNECTION_OK) {
        return std::unexpected(fmt::format("no connection to PostgreSQL: {}", trimmed(PQerrorMessage(raw))));
    }
    // Notices ("schema exists, skipping") would go to standard error.
    PQsetNoticeReceiver(raw, [](void*, const PGresult*) {}, nullptr);
    return connection;
}

std::expected<void, PgError> PgConnection::execute(const std::string& script) {
    PGconn* raw = connection_.get();
    if (PQsendQuery(raw, script.c_str()) == 0) {
        return std::unexpected(PgError{.message = trimmed(PQerrorMessage(raw))});
    }
    std::expected<void, PgError> outcome;
    int statement = 0;
    while (const Result result{PQgetResult(raw)}) {
        ++statement;
        if (is_copy(result.get())) {
            // Nobody here has data for a COPY; the protocol can only be left by giving the connection up.
            connection_.reset(nullptr);
            return std::unexpected(PgError{.message = "COPY is not possible here",
                                           .sqlstate = "",
                                           .context = "",
                                           .statement = statement});
        }
        if (is_good(result.get()) || !outcome) continue;
        outcome = std::unexpected(error_of(result.get(), raw));
        outcome.error().statement = statement;
    }
    return outcome;
}

std::expected<std::vector<PgRow>, PgError> PgConnection::query(const std::string& statement,
                                                               const std::vector<std::string>& parameters) {
    std::vector<const char*> values;
    for (const std::string& parameter : parameters)
        values.push_back(parameter.c_str());
    const Result result{PQexecParams(connection_.get(), statement.c_str(), static_cast<int>(values.size()),
                                     nullptr, values.data(), nullptr, nullptr, 0)};
    if (!is_good(result.get())) return std::unexpected(error_of(result.get(), connection_.get()));
    std::vector<PgRow> rows;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        PgRow& values_of_row = rows.emplace_back();
        for (int column = 0; column < PQnfields(result.get()); ++column) {
            if (PQgetisnull(result.get(), row, column) != 0) {
                values_of_row.emplace_back(std::nullopt);
            } else {
                values_of_row.emplace_back(PQgetvalue(result.get(), row, column));
            }
        }
    }
    return rows;
}

std::expected<void, PgError> PgConnection::attempt(const std::string& statement) {
    if (auto begun = execute("SAVEPOINT attempt"); !begun) return begun;
    auto done = execute(statement);
    const auto ended = execute(done ? "RELEASE SAVEPOINT attempt"
                                    : "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt");
    return ended ? done : ended;
}

std::string PgConnection::identifier(std::string_view name) const {
    std::string quoted = "\"";
    for (const char c : name) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

std::optional<std::string> user_of(const std::string& url) {
    struct FreeOptions {
        void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
    };
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, FreeOptions> options{PQconninfoParse(url.c_str(), &error)};
    PQfreemem(error);
    if (!options) return std::nullopt;
    std::string user;
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
        if (std::string_view{option->keyword} == "user" && option->val != nullptr) user = option->val;
    }
    return user;
}

}  // namespace nomiqon
