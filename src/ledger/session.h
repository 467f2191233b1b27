#pragma once

#include <memory>
#include <mutex>
#include <pqxx/connection>
#include <pqxx/transaction>
#include <string>

#include "nomiqon/core/time.h"
#include "wire.h"

namespace nomiqon::ledger {

/// Where the database is. Shared by all sessions; `generation` 0 means: not known yet.
struct Target {
    std::string conninfo;
    std::string set_role;
};

/// One connection to PostgreSQL that opens itself when it is needed and is thrown away when it broke. Belongs
/// to one thread, but for `interrupt`.
///
/// A statement has two limits: the server's own `statement_timeout`, and, for a server that has stopped
/// answering altogether, `interrupt`, by which a watching thread shuts the socket down so that the blocked
/// call returns.
class Session {
  public:
    Session(std::string name, Duration statement_timeout)
        : name_(std::move(name)), timeout_(statement_timeout) {}

    /// The open connection; opens one when there is none. Throws pqxx::failure (broken_connection) when it
    /// can't.
    pqxx::connection& open(const Target& target);
    void close();
    [[nodiscard]] bool is_open() const { return connection_ != nullptr; }
    [[nodiscard]] const std::string& identity() const {
        return identity_;
    }  ///< of the last session that was open

    [[nodiscard]] const WorkTypes& work_types() const { return work_types_; }

    /// From another thread: makes a call that is under way fail.
    void interrupt();

  private:
    std::string name_;
    Duration timeout_;
    std::string identity_;
    WorkTypes work_types_;
    std::mutex socket_mutex_;  // guards socket_ against a close that another thread's interrupt races with
    int socket_ = -1;
    std::unique_ptr<pqxx::connection> connection_;
};

/// How an error of the database is to be taken.
enum class Failure : std::uint8_t {
    connection,  ///< the connection is gone, and with it perhaps an answer
    transient,   ///< deadlock or serialisation: the same again will do
    lease,       ///< this gateway's lease has lapsed
    statement,   ///< the database refused this very statement
};
struct DatabaseError {
    Failure failure = Failure::statement;
    std::string sqlstate;
    std::string message;  ///< the primary message alone
    std::string detail;
};
/// Call in a handler of std::exception: reads what pqxx threw.
[[nodiscard]] DatabaseError describe(const std::exception& error);

}  // namespace nomiqon::ledger
