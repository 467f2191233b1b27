#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace nomiqon::test {

/// A blocking TCP connection with a limit on every wait. What can't be read in time reads as the end.
class Peer {
  public:
    explicit Peer(int descriptor) : descriptor_(descriptor) {
        const timeval limit{.tv_sec = 10, .tv_usec = 0};
        setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        const int on = 1;
        setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    static Peer connect(std::uint16_t port) {
        const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // The socket interface takes its addresses so.
        if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            throw std::runtime_error("connect");
        }
        return Peer(descriptor);
    }
    Peer(Peer&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), buffer_(std::move(other.buffer_)) {}
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    Peer& operator=(Peer&&) = delete;
    ~Peer() { close(); }

    void close() {
        if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    }
    void half_close() { shutdown(descriptor_, SHUT_WR); }
    void reset() {
        const linger hard{.l_onoff = 1, .l_linger = 0};
        setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close();
    }
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    /// Up to and with `end`; what there was, where the connection ends before.
    std::string read_until(std::string_view end) {
        while (buffer_.find(end) == std::string::npos) {
            if (!fill()) return std::exchange(buffer_, {});
        }
        return take(buffer_.find(end) + end.size());
    }
    std::string read(std::size_t size) {
        while (buffer_.size() < size) {
            if (!fill()) return std::exchange(buffer_, {});
        }
        return take(size);
    }
    std::string read_all() {
        while (fill()) {
        }
        return std::exchange(buffer_, {});
    }
    bool at_end() { return buffer_.empty() && !fill(); }
    [[nodiscard]] bool was_reset() const { return was_reset_; }
    std::string read_head() { return read_until("\r\n\r\n"); }

  private:
    bool fill() {
        char bytes[16 * 1024];
        const auto received = ::recv(descriptor_, bytes, sizeof bytes, 0);
        if (received < 0 && errno == ECONNRESET) was_reset_ = true;
        if (received <= 0) return false;
        buffer_.append(bytes, static_cast<std::size_t>(received));
        return true;
    }
    std::string take(std::size_t size) {
        std::string taken = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return taken;
    }

    int descriptor_;
    bool was_reset_ = false;
    std::string buffer_;
};

/// A server on a free port of loopback that runs `serve` for each connection, in a thread of its own.
class Origin {
  public:
    explicit Origin(std::function<void(Peer&)> serve) : serve_(std::move(serve)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
            listen(listener_, 64) != 0 ||
            getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            throw std::runtime_error("listen");
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { accept_all(); });
    }
    Origin(const Origin&) = delete;
    Origin& operator=(const Origin&) = delete;
    ~Origin() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        for (auto& connection : connections_)
            connection.join();
        ::close(listener_);
    }

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] int connections() const { return count_; }

  private:
    void accept_all() {
        while (true) {
            const int descriptor = accept(listener_, nullptr, nullptr);
            if (descriptor < 0) return;
            ++count_;
            connections_.emplace_back([this, descriptor] {
                Peer peer(descriptor);
                serve_(peer);
            });
        }
    }

    std::function<void(Peer&)> serve_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> count_ = 0;
    std::thread thread_;
    std::list<std::thread> connections_;
};

}  // namespace nomiqon::test
