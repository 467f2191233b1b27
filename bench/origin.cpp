// The server behind the proxies: HTTP/1.1, kept connections, one thread. `GET /N` is answered with N bytes,
// in origin form and in absolute form. Prints its port in one line when it listens.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sockets.h"

namespace {

using namespace nomiqon::bench;

constexpr std::size_t most_head_bytes = 16 * 1024;
constexpr std::uint64_t most_answer_bytes = 1ULL << 40U;
/// Small enough to stay in the processor's cache, so that making the bytes costs as little as can be.
constexpr std::size_t block_bytes = 128 * 1024;

struct Connection {
    Fd fd;
    std::string unread;
    std::string unsent;           // of a head and of a small body
    std::uint64_t body_left = 0;  // after `unsent`, from the block
};

/// The N of `GET /N HTTP/1.1` or `GET http://host/N HTTP/1.1`.
std::optional<std::uint64_t> wanted_bytes(std::string_view head) {
    const auto line = head.substr(0, head.find("\r\n"));
    const auto end = line.rfind(' ');
    if (!line.starts_with("GET ") || end < 5) return std::nullopt;
    const auto begin = line.rfind('/', end) + 1;
    std::uint64_t count = 0;
    const auto [stop, error] = std::from_chars(line.data() + begin, line.data() + end, count);
    if (error != std::errc{} || stop != line.data() + end || count > most_answer_bytes) return std::nullopt;
    return count;
}

class Origin {
  public:
    explicit Origin(const sockaddr_in& address) : listener_(listen_on(address)), block_(block_bytes, 'x') {
        poller_.add(listener_, nullptr);
        std::printf("%u\n", static_cast<unsigned>(port_of(listener_)));
        std::fflush(stdout);
    }

    [[noreturn]] void run() {
        while (true) {
            for (const auto& event : poller_.wait(-1)) {
                if (event.data.ptr == nullptr) {
                    accept_all();
                } else {
                    auto& connection = *static_cast<Connection*>(event.data.ptr);
                    if (!serve(connection)) connections_.erase(&connection);
                }
            }
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
            poller_.add(connection->fd, connection.get());
            connections_.emplace(connection.get(), std::move(connection));
        }
    }

    /// Edge-triggered: goes on until the socket has nothing to read or takes no more. False: close it.
    bool serve(Connection& connection) {
        while (true) {
            if (!flush(connection)) return false;
            if (!connection.unsent.empty() || connection.body_left > 0) return true;
            if (answer_next(connection)) continue;
            if (connection.unread.size() > most_head_bytes) return false;
            std::array<char, 4096> buffer{};
            const auto received = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
            if (received == 0) return false;
            if (received < 0) return would_block(errno);
            connection.unread.append(buffer.data(), static_cast<std::size_t>(received));
        }
    }

    bool answer_next(Connection& connection) {
        const auto end = connection.unread.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const auto count = wanted_bytes(std::string_view(connection.unread).substr(0, end));
        connection.unread.erase(0, end + 4);
        if (!count) {
            connection.unsent = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            return true;
        }
        connection.unsent = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
                            std::to_string(*count) + "\r\n\r\n";
        const auto first = static_cast<std::size_t>(std::min<std::uint64_t>(*count, 4096));
        connection.unsent.append(block_, 0, first);
        connection.body_left = *count - first;
        return true;
    }

    bool flush(Connection& connection) {
        while (!connection.unsent.empty()) {
            const auto sent = put(connection, connection.unsent);
            if (sent < 0) return would_block(errno);
            connection.unsent.erase(0, static_cast<std::size_t>(sent));
        }
        while (connection.body_left > 0) {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(connection.body_left, block_.size()));
            const auto sent = put(connection, std::string_view(block_).substr(0, size));
            if (sent < 0) return would_block(errno);
            connection.body_left -= static_cast<std::uint64_t>(sent);
        }
        return true;
    }

    static ssize_t put(const Connection& connection, std::string_view bytes) {
        return ::send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }

    Poller poller_;
    Fd listener_;
    std::string block_;
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        Origin(parse_address(argc > 1 ? argv[1] : "127.0.0.1:0")).run();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_origin: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
