// The listener: HTTP/1.1 (RFC 9112) by Beast, one coroutine a connection, all on one thread. What a request
// means is the Api's business.

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <tuple>

#include "api.h"

namespace nomiqon::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr std::uint32_t header_bytes = 16 * 1024;
constexpr std::chrono::seconds first_byte_timeout{3};  // of a connection that has asked for nothing yet
constexpr std::chrono::seconds request_timeout{30};  // from a request's first byte, or of idling, to its last
constexpr std::chrono::seconds answer_timeout{30};   // to write an answer
constexpr std::chrono::milliseconds linger{200};     // for what a refused client still sends
constexpr std::chrono::milliseconds stop_limit{1000};
constexpr int most_turned_away = 64;  // that are given this time at once; more are closed without
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

using Message = http::request<http::string_body>;

[[noreturn]] void fail(const boost::system::error_code& error, const std::string& what) {
    throw std::system_error(std::error_code{error.value(), std::system_category()}, what);
}

HttpRequest to_request(Message&& message) {
    HttpRequest request{.method = std::string{message.method_string()},
                        .target = std::string{message.target()}};
    for (const auto& field : message.base()) {
        std::string name{field.name_string()};
        for (char& c : name) {
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        }
        request.headers.emplace_back(std::move(name), std::string{field.value()});
    }
    request.body = std::move(message.body());
    return request;
}

/// `to_head`: for HEAD, whose answer has all of GET's but the body (RFC 9110 section 9.3.2).
http::response<http::string_body> to_message(HttpResponse&& response, bool keep_alive, bool to_head) {
    http::response<http::string_body> message;
    message.version(11);
    message.result(static_cast<unsigned>(response.status));
    message.set(http::field::content_type, response.content_type);
    message.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers)
        message.set(name, value);
    message.body() = std::move(response.body);
    message.keep_alive(keep_alive);
    message.prepare_payload();
    if (to_head) message.body().clear();
    return message;
}

}  // namespace

struct AdminServer::Impl {
    enum class Phase : std::uint8_t { reading, handling, writing };
    /// A connection, owned by its coroutine; listed, so that a stop can end the idle ones, and a new one can
    /// take the place of an idle one.
    struct Connection {
        beast::tcp_stream stream;
        Phase phase = Phase::reading;
        std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();  ///< in this phase
        bool had_key = false;  ///< its last request came with a good API key
        bool evicted = false;

        void enter(Phase next) {
            phase = next;
            since = std::chrono::steady_clock::now();
        }
        /// Strangers may be put out whenever no request of theirs is being decided, even while they are
        /// slow to send or to read; who showed a key, only between requests.
        [[nodiscard]] bool may_be_evicted() const {
            return phase == Phase::reading || (phase == Phase::writing && !had_key);
        }
    };

    Impl(const Config& config, ledger::AdminStore& store, const Clock& clock, AdminHooks hooks,
         std::shared_ptr<spdlog::logger> logger)
        : log(logger),
          limits(config.limits),
          api({.config = config, .store = store, .clock = clock, .log = std::move(logger)},
              std::move(hooks)) {
        listen(config.admin_listen);
    }

    void listen(const ListenAddress& where) {
        boost::system::error_code error;
        const auto address = asio::ip::make_address(strip_brackets(where.address.to_string()), error);
        if (error) fail(error, "admin listener");
        const tcp::endpoint endpoint{address, where.port};
        acceptor.open(endpoint.protocol(), error);
        if (!error) acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
        if (!error) acceptor.bind(endpoint, error);
        if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
        if (error) fail(error, "admin listener " + where.to_string());
        bound = where;
        bound.port = acceptor.local_endpoint().port();
    }

    static std::string strip_brackets(std::string text) {
        if (text.starts_with('[')) return text.substr(1, text.size() - 2);
        return text;
    }

    asio::awaitable<void> accept_all() {
        while (!stopping) {
            auto [error, socket] = co_await acceptor.async_accept(as_result);
            if (stopping) co_return;
            if (error) {
                // Out of descriptors, most likely: leave the others time to end.
                log->warn("the admin listener could not accept: {}", error.message());
                asio::steady_timer pause{io, std::chrono::milliseconds{100}};
                co_await pause.async_wait(as_result);
                continue;
            }
            if (connections.size() < limits.admin_connections || evict_one()) {
                asio::co_spawn(io, serve(std::move(socket)),
                               [this](const std::exception_ptr& problem) { report(problem); });
            } else if (turned_away < most_turned_away) {
                asio::co_spawn(io, turn_away(std::move(socket)),
                               [this](const std::exception_ptr& problem) { report(problem); });
            }
        }
    }

    /// Makes room: whoever can connect could otherwise hold every place with silence, and keep the operator
    /// from the kill switch. Strangers go first, then the longest idle.
    bool evict_one() {
        const auto rank = [](const Connection* one) {
            return std::tuple{!one->may_be_evicted(), one->had_key, one->since};
        };
        const auto first = std::ranges::min_element(connections, {}, rank);
        if (first == connections.end() || !(*first)->may_be_evicted()) return false;
        Connection& victim = **first;
        victim.evicted = true;
        victim.stream.close();
        connections.erase(first);  // its coroutine ends in a moment
        return true;
    }

    asio::awaitable<void> turn_away(tcp::socket socket) {
        ++turned_away;
        const std::unique_ptr<int, void (*)(int*)> leaving{&turned_away, [](int* count) { --*count; }};
        beast::tcp_stream stream{std::move(socket)};
        auto message = to_message(
            api.refuse({.code = "unavailable",
                        .message = "too many connections are being answered; try again in a moment",
                        .retry_after = 1},
                       503),
            false, false);
        stream.expires_after(linger);
        auto [error, written] = co_await http::async_write(stream, message, as_result);
        if (!error) co_await drain(stream);
    }

    /// Reads what a refused client still sends, briefly: closing on unread bytes would reset the connection
    /// and take the answer with it (RFC 9112 section 9.6).
    asio::awaitable<void> drain(beast::tcp_stream& stream) {
        boost::system::error_code ignored;
        stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream.expires_after(linger);
        std::array<char, std::size_t{16} * 1024> unread{};
        for (int reads = 0; reads < 256 && !stopping; ++reads) {
            auto [error, count] = co_await stream.async_read_some(asio::buffer(unread), as_result);
            if (error) break;
        }
    }

    void report(const std::exception_ptr& problem) {
        if (!problem) return;
        try {
            std::rethrow_exception(problem);
        } catch (const std::exception& error) {
            log->error("a connection of the admin API failed: {}", error.what());
        }
    }

    asio::awaitable<void> serve(tcp::socket socket) {
        Connection connection{beast::tcp_stream{std::move(socket)}};
        const Listed listed{*this, &connection};
        beast::flat_buffer buffer{header_bytes + 64 * 1024};
        connection.stream.expires_after(first_byte_timeout);
        auto [silence, count] = co_await connection.stream.async_read_some(buffer.prepare(4096), as_result);
        if (silence) co_return;
        buffer.commit(count);
        bool keep_alive = true;
        while (keep_alive && !stopping) {
            http::request_parser<http::string_body> parser;
            parser.header_limit(header_bytes);
            parser.body_limit(limits.admin_body_bytes);
            connection.stream.expires_after(request_timeout);
            auto [error, read] = co_await http::async_read(connection.stream, buffer, parser, as_result);
            if (connection.evicted) co_return;
            const bool to_head = parser.is_header_done() && parser.get().method() == http::verb::head;
            HttpResponse response;
            if (error) {
                auto refusal = refusal_of(error);
                if (!refusal) co_return;
                response = *std::move(refusal);
                keep_alive = false;
            } else {
                connection.enter(Phase::handling);
                keep_alive = parser.get().keep_alive();
                connection.stream.expires_never();  // the store has its own time limit
                response = co_await api.handle(to_request(parser.release()));
            }
            connection.had_key = response.had_key;
            connection.enter(Phase::writing);
            keep_alive = keep_alive && !stopping;
            auto message = to_message(std::move(response), keep_alive, to_head);
            connection.stream.expires_after(answer_timeout);
            auto [write_error, written] = co_await http::async_write(connection.stream, message, as_result);
            connection.enter(Phase::reading);
            if (write_error || connection.evicted) co_return;
        }
        co_await drain(connection.stream);
    }

    /// What to answer to a request that could not be read; nothing when there was none.
    std::optional<HttpResponse> refusal_of(const boost::system::error_code& error) {
        if (error == http::error::body_limit) {
            return api.refuse({.code = "request_too_large", .message = "the body is too large"}, 413);
        }
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            return api.refuse({.code = "request_too_large", .message = "the head is too large"}, 431);
        }
        if (error == http::error::bad_version) {
            return api.refuse({.code = "bad_request", .message = "only HTTP/1.1 is spoken here"}, 505);
        }
        if (error.category() == make_error_code(http::error::bad_method).category() &&
            error != http::error::end_of_stream && error != http::error::partial_message) {
            return api.refuse({.code = "bad_request", .message = "this is no well-formed HTTP request"}, 400);
        }
        return std::nullopt;
    }

    struct Listed {
        Listed(Impl& server, Connection* one) : impl(server), connection(one) {
            impl.connections.insert(connection);
        }
        Listed(const Listed&) = delete;
        Listed& operator=(const Listed&) = delete;
        ~Listed() {
            impl.connections.erase(connection);
            if (impl.stopping && impl.connections.empty()) impl.deadline.cancel();
        }
        Impl& impl;
        Connection* connection;
    };

    void close(bool busy_too) {
        for (auto* connection : connections) {
            if (busy_too || connection->phase == Phase::reading) connection->stream.cancel();
        }
    }

    void begin_stop() {
        stopping = true;
        boost::system::error_code ignored;
        acceptor.close(ignored);
        close(false);
        if (connections.empty()) return;
        deadline.expires_after(stop_limit);
        deadline.async_wait([this](const boost::system::error_code& error) {
            if (!error) close(true);
        });
    }

    void run() {
        io.run();
        const std::lock_guard lock{mutex};
        ended = true;
        has_ended.notify_all();
    }

    std::shared_ptr<spdlog::logger> log;
    const Config::Limits limits;
    asio::io_context io{1};
    tcp::acceptor acceptor{io};
    asio::steady_timer deadline{io};
    ListenAddress bound;
    Api api;
    std::set<Connection*> connections;  // the thread's own, like `stopping`
    int turned_away = 0;
    bool stopping = false;
    std::mutex mutex;
    std::condition_variable has_ended;
    bool ended = false;
    std::thread thread;
};

AdminServer::AdminServer(const Config& config, ledger::AdminStore& store, service::SpendAuthorizer&,
                         const Clock& clock, AdminHooks hooks, std::shared_ptr<spdlog::logger> log)
    : impl_(std::make_unique<Impl>(config, store, clock, std::move(hooks), std::move(log))) {}

// A call that waits for the store ends within the store's own time limit; only then may its thread go.
AdminServer::~AdminServer() {
    stop();
    if (impl_->thread.joinable()) impl_->thread.join();
}

void AdminServer::start() {
    if (impl_->thread.joinable()) return;
    asio::co_spawn(impl_->io, impl_->accept_all(),
                   [this](const std::exception_ptr& problem) { impl_->report(problem); });
    impl_->thread = std::thread{[this] { impl_->run(); }};
}

void AdminServer::stop() {
    if (!impl_->thread.joinable()) return;
    asio::post(impl_->io, [this] {
        if (!impl_->stopping) impl_->begin_stop();
    });
    std::unique_lock lock{impl_->mutex};
    impl_->has_ended.wait_for(lock, stop_limit + std::chrono::milliseconds{200},
                              [this] { return impl_->ended; });
}

ListenAddress AdminServer::address() const {
    return impl_->bound;
}

}  // namespace nomiqon::admin
