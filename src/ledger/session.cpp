#include "session.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/prepared_statement>

#include "wire.h"

namespace nomiqon::ledger {
namespace {

constexpr std::string_view lapsed_lease = "NQ001";  // raised by nomiqon.work

std::string as_identifier(std::string_view identifier) {
    std::string text{"\""};
    for (const char c : identifier) {
        if (c == '"') text += '"';
        text += c;
    }
    return text + '"';
}

void prepare_statements(pqxx::connection& connection) {
    connection.prepare("work", work_statement());
    connection.prepare("find_agent", "select * from nomiqon.find_agent($1)");
    connection.prepare("is_token_used", "select nomiqon.is_token_used($1, $2, $3, $4)");
    connection.prepare("affordable", "select nomiqon.affordable($1, $2, $3, $4, $5)");
    connection.prepare("keep_price_book", "select nomiqon.keep_price_book($1, $2)");
    connection.prepare("record_refusals", "select nomiqon.record_refusals($1::jsonb)");
    connection.prepare("renew_lease", "select nomiqon.renew_lease($1, $2, $3, $4::interval, $5)");
    connection.prepare("end_lease", "select nomiqon.end_lease($1)");
    connection.prepare("expire_reservations", "select nomiqon.expire_reservations($1)");
    connection.prepare("forget_expired", "select nomiqon.forget_expired()");
    connection.prepare("is_session_alive", "select nomiqon.is_session_alive($1)");
}

// pqxx 6 would silently open a new session, without this one's role, limits and statements, when a connection
// broke.
void forbid_reconnecting(pqxx::connection& connection) {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"  // of a class that pqxx 7 no longer needs
    connection.inhibit_reactivation(true);
#pragma clang diagnostic pop
}

// libpq writes a field a line, "ERROR:  what happened", "DETAIL:  more"; the labels are in the server's
// language.
std::string field_of(std::string_view text, int line) {
    for (; line > 0; --line) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    text = text.substr(0, text.find('\n'));
    constexpr std::string_view after_label{":  "};
    const std::size_t label = text.find(after_label);
    if (label != std::string_view::npos) text.remove_prefix(label + after_label.size());
    return std::string{text};
}

}  // namespace

pqxx::connection& Session::open(const Target& target) {
    if (connection_) return *connection_;
    if (target.conninfo.empty()) throw pqxx::broken_connection{"the database is not ready yet"};
    auto connection = std::make_unique<pqxx::connection>(target.conninfo);
    {
        const std::scoped_lock lock{socket_mutex_};
        socket_ = connection->sock();
    }
    try {
        forbid_reconnecting(*connection);
        pqxx::nontransaction setup{*connection};
        if (!target.set_role.empty()) setup.exec("set role " + as_identifier(target.set_role));
        setup.exec(fmt::format("set statement_timeout = {}", timeout_.count()));
        setup.exec(fmt::format("set lock_timeout = {}", timeout_.count()));
        setup.exec(fmt::format("set idle_in_transaction_session_timeout = {}", timeout_.count() * 2));
        setup.exec("set application_name = 'nomiqon-gateway " + setup.esc(name_) + "'");
        identity_ = setup.exec1("select nomiqon.session_identity()")[0].as<std::string>("");
        work_types_ = read_work_types(setup);
        setup.commit();
        prepare_statements(*connection);
    } catch (...) {
        const std::scoped_lock lock{socket_mutex_};
        socket_ = -1;
        throw;
    }
    connection_ = std::move(connection);
    return *connection_;
}

void Session::close() {
    const std::scoped_lock lock{socket_mutex_};
    socket_ = -1;
    connection_.reset();
}

void Session::interrupt() {
    const std::scoped_lock lock{socket_mutex_};
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
}

DatabaseError describe(const std::exception& error) {
    if (const auto* sql = dynamic_cast<const pqxx::sql_error*>(&error)) {
        DatabaseError described{.sqlstate = sql->sqlstate(),
                                .message = field_of(sql->what(), 0),
                                .detail = field_of(sql->what(), 1)};
        const std::string_view state = described.sqlstate;
        // 57P0x: the server is going away; 08: the connection failed. Without a state the connection broke in
        // between.
        if (state.empty() || state.starts_with("57P") || state.starts_with("08") || state.starts_with("53")) {
            described.failure = Failure::connection;
        } else if (state == "40001" || state == "40P01" || state == "55P03") {
            described.failure = Failure::transient;
        } else if (state == lapsed_lease) {
            described.failure = Failure::lease;
        } else if (state ==
                   "57014") {  // statement_timeout: nothing was committed, but the database is in trouble
            described.failure = Failure::connection;
        } else if (state == "25006") {  // read-only: a standby, after a failover
            described.failure = Failure::connection;
        }
        return described;
    }
    // pqxx 6 asks a connection that broke for its encoding, and tells of that instead.
    const std::string_view what = error.what();
    const bool says_nothing = what.starts_with("Could not obtain client encoding");
    return {.failure = Failure::connection,
            .sqlstate = {},
            .message = says_nothing ? "the connection broke" : std::string{what},
            .detail = {}};
}

}  // namespace nomiqon::ledger
