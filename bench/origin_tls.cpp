// The provider behind intercepting proxies: TLS, HTTP/1.1, kept connections, resumed sessions, one thread.
//
//   GET /N              N bytes
//   GET /sse/COUNT/US   an event stream, one chunk and record an event; the next one follows US microseconds
//   later POST anything       a chat completion with its usage
//
// An event tells when it was sent (`"t"`: nanoseconds of the monotonic clock). Takes the files of its
// certificate and key; prints its port in one line when it listens.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "sockets.h"
#include "tls.h"

namespace {

using namespace nomiqon::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_unread_bytes = 64 * 1024;
constexpr std::uint64_t most_answer_bytes = 1ULL << 40U;
/// Small enough to stay in the processor's cache.
constexpr std::size_t block_bytes = 128 * 1024;

constexpr std::string_view completion =
    R"({"id":"chatcmpl-bench","object":"chat.completion","created":1764000000,"model":"gpt-4o-mini","choices":[)"
    R"({"index":0,"message":{"role":"assistant","content":"The loopback answers.","refusal":null},)"
    R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":5,)"
    R"("total_tokens":19,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},)"
    R"("completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default"})";

struct Stream {
    std::uint64_t sent = 0, count = 0;
    Clock::duration gap{};
    Clock::time_point due;
};

struct Connection {
    Fd fd;
    Tls tls;
    std::string unread;
    std::string unsent;           // of a head, a small body, an event
    std::uint64_t body_left = 0;  // after `unsent`, from the block
    std::optional<Stream> stream;
};

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Of a request's body. The two proxies spell the field's name as the load did.
std::optional<std::uint64_t> content_length(std::string_view head) {
    constexpr std::string_view name = "\r\nContent-Length: ";
    const auto found = head.find(name);
    if (found == std::string_view::npos) return 0;
    const auto value = head.substr(found + name.size());
    return number(value.substr(0, value.find("\r\n")));
}

std::string head_of(std::string_view type, std::string_view framing) {
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: ";
    return head.append(type).append("\r\n").append(framing).append("\r\n\r\n");
}

class Origin {
  public:
    Origin(const char* certificate, const char* key)
        : context_(make_context(TLS_server_method())),
          listener_(listen_on(parse_address("127.0.0.1:0"))),
          block_(block_bytes, 'x') {
        if (SSL_CTX_use_certificate_chain_file(context_.get(), certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(context_.get(), key, SSL_FILETYPE_PEM) != 1)
            throw std::runtime_error(tls_error());
        poller_.add(listener_, nullptr);
        std::printf("%u\n", static_cast<unsigned>(port_of(listener_)));
        std::fflush(stdout);
    }

    [[noreturn]] void run() {
        while (true) {
            for (const auto& event : poller_.wait(milliseconds_to_next())) {
                if (event.data.ptr == nullptr) {
                    accept_all();
                } else {
                    auto& connection = *static_cast<Connection*>(event.data.ptr);
                    if (!serve(connection)) close(connection);
                }
            }
            send_events();
        }
    }

  private:
    void accept_all() {
        while (true) {
            Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (fd.get() < 0) return;
            set_no_delay(fd);
            auto connection = std::make_unique<Connection>();
            connection->fd = std::move(fd);
            connection->tls.reset(SSL_new(context_.get()));
            SSL_set_fd(connection->tls.get(), connection->fd.get());
            SSL_set_accept_state(connection->tls.get());
            poller_.add(connection->fd, connection.get());
            connections_.emplace(connection.get(), std::move(connection));
        }
    }

    void close(Connection& connection) {
        if (connection.stream) due_.erase({connection.stream->due, &connection});
        SSL_shutdown(connection.tls.get());
        connections_.erase(&connection);
    }

    /// Edge-triggered: goes on until the socket has nothing to read or takes no more. False: close it.
    bool serve(Connection& connection) {
        std::array<char, 16 * 1024>
            buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
        while (true) {
            if (SSL_in_init(connection.tls.get()) == 1) {
                const auto shaken = shake_hands(connection.tls);
                if (shaken != TlsResult::done) return shaken == TlsResult::wait;
            }
            if (!flush(connection)) return false;
            if (!connection.unsent.empty() || connection.body_left > 0 || connection.stream) return true;
            if (answer_next(connection)) continue;
            if (connection.unread.size() > most_unread_bytes) return false;
            std::size_t count = 0;
            const auto result = tls_read(connection.tls, buffer.data(), buffer.size(), count);
            if (result != TlsResult::done) return result == TlsResult::wait;
            connection.unread.append(buffer.data(), count);
        }
    }

    /// Whether there was a whole request.
    bool answer_next(Connection& connection) {
        const auto end = connection.unread.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::string head = connection.unread.substr(0, end + 2);
        const auto body = content_length(head);
        if (body && connection.unread.size() - end - 4 < *body) return false;
        connection.unread.erase(0, end + 4 + static_cast<std::size_t>(body.value_or(0)));
        if (!body || !begin_answer(connection, head))
            connection.unsent = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return true;
    }

    bool begin_answer(Connection& connection, std::string_view head) {
        if (head.starts_with("POST ")) {
            connection.unsent =
                head_of("application/json", "Content-Length: " + std::to_string(completion.size()));
            connection.unsent.append(completion);
            return true;
        }
        if (!head.starts_with("GET /")) return false;
        const auto path = head.substr(5, head.find(' ', 5) - 5);
        if (path.starts_with("sse/")) return begin_stream(connection, path.substr(4));
        const auto count = number(path);
        if (!count || *count > most_answer_bytes) return false;
        connection.unsent = head_of("application/octet-stream", "Content-Length: " + std::to_string(*count));
        const auto first = static_cast<std::size_t>(std::min<std::uint64_t>(*count, 4096));
        connection.unsent.append(block_, 0, first);
        connection.body_left = *count - first;
        return true;
    }

    /// `COUNT/US`
    bool begin_stream(Connection& connection, std::string_view what) {
        const auto slash = what.find('/');
        if (slash == std::string_view::npos) return false;
        const auto count = number(what.substr(0, slash));
        const auto gap = number(what.substr(slash + 1));
        if (!count || *count == 0 || !gap) return false;
        connection.unsent = head_of("text/event-stream", "Transfer-Encoding: chunked");
        connection.stream =
            Stream{.count = *count, .gap = std::chrono::microseconds(*gap), .due = Clock::now()};
        put_event(connection);
        return true;
    }

    /// The next event into `unsent`.
    void put_event(Connection& connection) {
        auto& stream = *connection.stream;
        due_.erase({stream.due, &connection});
        const auto now = Clock::now();
        std::array<char, 128> event{}, chunk{};
        const int size =
            std::snprintf(event.data(), event.size(), "data: {\"i\":%llu,\"t\":%lld}\n\n",
                          static_cast<unsigned long long>(stream.sent),
                          static_cast<long long>(now.time_since_epoch() / std::chrono::nanoseconds(1)));
        std::snprintf(chunk.data(), chunk.size(), "%x\r\n%s\r\n", static_cast<unsigned>(size), event.data());
        connection.unsent.append(chunk.data());
        if (++stream.sent == stream.count) {
            connection.unsent.append("0\r\n\r\n");
            connection.stream.reset();
            return;
        }
        stream.due = now + stream.gap;
        due_.emplace(stream.due, &connection);
    }

    void send_events() {
        const auto now = Clock::now();
        while (!due_.empty() && due_.begin()->first <= now) {
            auto& connection = *due_.begin()->second;
            put_event(connection);
            if (!serve(connection)) close(connection);
        }
    }

    [[nodiscard]] int milliseconds_to_next() const {
        if (due_.empty()) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_.begin()->first - Clock::now());
        return static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }

    bool flush(Connection& connection) {
        while (!connection.unsent.empty()) {
            std::size_t sent = 0;
            const auto result = tls_write(connection.tls, connection.unsent, sent);
            if (result != TlsResult::done) return result == TlsResult::wait;
            connection.unsent.erase(0, sent);
        }
        while (connection.body_left > 0) {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(connection.body_left, block_.size()));
            std::size_t sent = 0;
            const auto result = tls_write(connection.tls, std::string_view(block_).substr(0, size), sent);
            if (result != TlsResult::done) return result == TlsResult::wait;
            connection.body_left -= sent;
        }
        return true;
    }

    TlsContext context_;
    Poller poller_;
    Fd listener_;
    std::string block_;
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
    std::set<std::pair<Clock::time_point, Connection*>> due_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: bench_origin_tls CERTIFICATE.PEM KEY.PEM\n");
        return EXIT_FAILURE;
    }
    try {
        // OpenSSL's socket BIO writes without MSG_NOSIGNAL.
        std::signal(SIGPIPE, SIG_IGN);
        Origin(argv[1], argv[2]).run();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_origin_tls: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
