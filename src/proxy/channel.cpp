#include "channel.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <utility>

namespace nomiqon::proxy {

namespace {

Channel::Result socket_result(ssize_t returned, Channel::State wait) {
    if (returned > 0) return {Channel::State::moved, static_cast<std::size_t>(returned)};
    if (returned == 0) return {Channel::State::ended};
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return {later ? wait : Channel::State::failed};
}

// A peer may send TLS's own messages (KeyUpdate) as fast as it can, and SSL_read returns to nobody before
// data comes. So it gets a number of reads of the socket, then has to wait like everybody; and who needs that
// over and over without any data isn't served on. A record takes two reads.
constexpr std::uintptr_t socket_reads = 4;
constexpr std::uintptr_t handshake_reads = 16;
constexpr unsigned most_barren_reads = 32;

/// The BIO's argument is the number itself, so that nothing here can outlive anything.
void allow_reads(SSL* ssl, std::uintptr_t count) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    BIO_set_callback_arg(SSL_get_rbio(ssl), reinterpret_cast<char*>(count));
}
std::uintptr_t reads_left(const SSL* ssl) {
    return reinterpret_cast<std::uintptr_t>(BIO_get_callback_arg(SSL_get_rbio(ssl)));
}

long on_socket(BIO* bio, int what, const char*, std::size_t, int, long, int returned, std::size_t*) {
    if (what != BIO_CB_READ) return returned;
    const auto left = reinterpret_cast<std::uintptr_t>(BIO_get_callback_arg(bio));
    if (left == 0) {
        BIO_clear_retry_flags(bio);
        BIO_set_retry_read(bio);
        return -1;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    BIO_set_callback_arg(bio, reinterpret_cast<char*>(left - 1));
    return returned;
}

int size_of(std::size_t bytes) {
    return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX));
}

}  // namespace

void Channel::encrypt(tls::SslPtr ssl) {
    ssl_ = std::move(ssl);
    starved_ = false;
    // OpenSSL reads and writes by itself, so the descriptor must not block.
    boost::system::error_code ignored;
    socket_.native_non_blocking(true, ignored);
    SSL_set_fd(ssl_.get(), socket_.native_handle());
    BIO_set_callback_ex(SSL_get_rbio(ssl_.get()), on_socket);
}

// OpenSSL keeps the descriptor's number, which is another connection's as soon as this socket is closed:
// nothing may reach it then.

/// The thread's error queue is shared by all its connections: what is left in it would be taken for this
/// one's.
Channel::Result Channel::handshake() {
    if (!socket_.is_open()) return {};
    ERR_clear_error();
    allow_reads(ssl_.get(), handshake_reads);
    return ssl_result(SSL_do_handshake(ssl_.get()));
}

Channel::Result Channel::read(std::span<char> into) {
    if (!socket_.is_open()) return {};
    if (!ssl_) {
        return socket_result(::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT),
                             State::wait_read);
    }
    ERR_clear_error();
    allow_reads(ssl_.get(), socket_reads);
    const Result result = ssl_result(SSL_read(ssl_.get(), into.data(), size_of(into.size())));
    starved_ = result.state != State::moved;
    barren_ = result.state == State::wait_read && reads_left(ssl_.get()) == 0 ? barren_ + 1 : 0;
    return barren_ > most_barren_reads ? Result{} : result;
}

Channel::Result Channel::write(std::string_view bytes) {
    if (bytes.empty()) return {State::moved};
    if (!socket_.is_open()) return {};
    if (!ssl_) {
        return socket_result(
            ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL),
            State::wait_write);
    }
    ERR_clear_error();
    return ssl_result(SSL_write(ssl_.get(), bytes.data(), size_of(bytes.size())));
}

Channel::Result Channel::ssl_result(int returned) {
    if (returned > 0) return {State::moved, static_cast<std::size_t>(returned)};
    switch (SSL_get_error(ssl_.get(), returned)) {
        case SSL_ERROR_WANT_READ:
            return {State::wait_read};
        case SSL_ERROR_WANT_WRITE:
            return {State::wait_write};
        case SSL_ERROR_ZERO_RETURN:
            return {State::ended};
        default:  // also a peer that closed without a close_notify: what it sent may have been cut
            return {State::failed};
    }
}

bool Channel::has_pending() const {
    return ssl_ && !starved_ && SSL_has_pending(ssl_.get()) == 1;
}

bool Channel::is_quiet() {
    char byte = 0;
    const auto nothing_came = [&] {
        const auto peeked = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return peeked < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    };
    if (!has_pending() && nothing_came()) return true;
    // Session tickets come whenever the server likes, and say nothing of the connection.
    return ssl_ && read({&byte, 1}).state == State::wait_read && nothing_came();
}

void Channel::shut_down() {
    if (reset_ || !socket_.is_open()) return;
    if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) {
        ERR_clear_error();
        (void)SSL_shutdown(ssl_.get());
    }
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
}

void Channel::make_reset() {
    reset_ = true;
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void Channel::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    // Without this OpenSSL takes the session for a broken one, and the next connection can't resume it.
    if (ssl_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    ssl_.reset();
}

}  // namespace nomiqon::proxy
