#pragma once

#include <libpq-fe.h>

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/time.h"

namespace nomiqon {

struct PgError {
    std::string message = "";   ///< PostgreSQL's, with its detail and hint; never the statement or the URL
    std::string sqlstate = "";  ///< empty: no answer from a server
    std::string context = "";   ///< for an error inside a function
    std::optional<int> position =
        std::nullopt;   ///< of the error in the statement's text, in characters from 1
    int statement = 1;  ///< which one of several in the text
};

/// One value of an answer; `nullopt`: NULL.
using PgRow = std::vector<std::optional<std::string>>;

/// A plain libpq connection for the start of the gateway: scripts of many statements and errors with their
/// place, which libpqxx 6 does not give. Not for the hot path. Used by one thread.
class PgConnection {
  public:
    /// The error holds no part of the URL, since that may hold a password.
    [[nodiscard]] static std::expected<PgConnection, std::string> open(const std::string& url,
                                                                       Duration timeout);

    /// All statements of a script, in the transaction that is open, if one is.
    std::expected<void, PgError> execute(const std::string& script);
    /// One statement with parameters; an empty answer for one without rows.
    std::expected<std::vector<PgRow>, PgError> query(const std::string& statement,
                                                     const std::vector<std::string>& parameters = {});
    /// `execute` in a savepoint of the open transaction: a failure undoes this statement alone.
    std::expected<void, PgError> attempt(const std::string& statement);

    [[nodiscard]] bool in_transaction() const {
        return PQtransactionStatus(connection_.get()) == PQTRANS_INTRANS;
    }
    [[nodiscard]] int server_version() const { return PQserverVersion(connection_.get()); }
    [[nodiscard]] std::string identifier(std::string_view name) const;  ///< quoted

  private:
    struct Finish {
        void operator()(PGconn* connection) const { PQfinish(connection); }
    };
    explicit PgConnection(PGconn* connection) : connection_(connection) {}
    std::unique_ptr<PGconn, Finish> connection_;
};

/// The user that a connection string names (or implies); `nullopt`: it is malformed.
[[nodiscard]] std::optional<std::string> user_of(const std::string& url);

}  // namespace nomiqon
