#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

// Sockets of the benchmarks' own: no Asio, so that origin and load take little of the machine that the proxy
// under test needs, and cost the same whatever the proxy is built from.

namespace nomiqon::bench {

[[noreturn]] inline void fail(const std::string& what) {
    throw std::system_error(errno, std::system_category(), what);
}

inline bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const { return fd_; }
    void reset() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_ = -1;
};

/// `127.0.0.1:8080`
inline sockaddr_in parse_address(const std::string& text) {
    const auto colon = text.rfind(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (colon == std::string::npos ||
        inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1)
        throw std::invalid_argument(text + " is no IPv4 address with a port");
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1))));
    return address;
}

inline Fd open_socket() {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) fail("socket");
    return fd;
}

inline void set_no_delay(const Fd& fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

inline Fd listen_on(const sockaddr_in& address) {
    Fd fd = open_socket();
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    if (::listen(fd.get(), SOMAXCONN) != 0) fail("listen");
    return fd;
}

inline std::uint16_t port_of(const Fd& fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
    return ntohs(address.sin_port);
}

/// The connection is under way when it returns: writable once it is there.
inline Fd begin_connect(const sockaddr_in& address) {
    Fd fd = open_socket();
    set_no_delay(fd);
    const int result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (result != 0 && errno != EINPROGRESS) fail("connect");
    return fd;
}

/// Edge-triggered epoll, the sockets' objects as its data.
class Poller {
  public:
    Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (fd_.get() < 0) fail("epoll_create1");
    }
    void add(const Fd& fd, void* object) {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.ptr = object;
        if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) fail("epoll_ctl");
    }
    std::span<const epoll_event> wait(int milliseconds) {
        const int count =
            ::epoll_wait(fd_.get(), events_.data(), static_cast<int>(events_.size()), milliseconds);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        return {events_.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
    }

  private:
    Fd fd_;
    std::array<epoll_event, 512> events_{};
};

}  // namespace nomiqon::bench
