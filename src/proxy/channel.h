#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nomiqon/tls/openssl.h"

namespace nomiqon::proxy {

/// The executor is named, not erased: Asio calls an erased one through a virtual function for each step.
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

/// One side of an exchange: a socket, with TLS on it or without. Nothing here waits; what can't be done yet
/// says what to wait for. OpenSSL is driven directly: `asio::ssl::stream` costs 1.7 times the CPU and 4.8
/// times the memory of a connection.
class Channel {
  public:
    enum class State : std::uint8_t {
        moved,       ///< some bytes
        wait_read,   ///< try again when the socket can be read
        wait_write,  ///< try again when the socket can be written
        ended,       ///< the peer ended its side in order; in TLS, with a close_notify
        failed,
    };
    struct Result {
        State state = State::failed;
        std::size_t bytes = 0;
    };

    explicit Channel(boost::asio::io_context& io) : socket_(io) {}
    explicit Channel(Socket socket) : socket_(std::move(socket)) {}

    [[nodiscard]] Socket& socket() { return socket_; }
    [[nodiscard]] bool encrypted() const { return ssl_ != nullptr; }
    [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

    /// From here on the socket, which is open, carries TLS. `ssl` is set up for its side.
    void encrypt(tls::SslPtr ssl);
    /// A step of the handshake; `moved`: it is done.
    Result handshake();

    Result read(std::span<char> into);
    /// After `wait_write` the next call must begin with the same bytes, and no fewer.
    Result write(std::string_view bytes);

    /// Whether a read may give something without waiting for the socket.
    [[nodiscard]] bool has_pending() const;
    /// Open, and nothing of the peer's unread: what a kept connection must be. Takes TLS's own messages off.
    [[nodiscard]] bool is_quiet();

    /// Ends the own side in order. A peer that doesn't read can't delay it.
    void shut_down();
    /// `close` becomes a reset: an answer that was cut must not look like one that ended.
    void make_reset();
    void close();

  private:
    Result ssl_result(int returned);

    Socket socket_;
    tls::SslPtr ssl_;
    bool starved_ = false;  // the last read took all that TLS had, but for half a record
    bool reset_ = false;    // no orderly end any more
    unsigned barren_ = 0;   // reads on end that took much and gave nothing
};

}  // namespace nomiqon::proxy
