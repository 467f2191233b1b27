#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <openssl/err.h>
#include <openssl/ssl.h>

// OpenSSL driven directly on non-blocking sockets, the same at both ends of the benchmarks.

namespace nomiqon::bench {

struct TlsDeleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Tls = std::unique_ptr<SSL, TlsDeleter>;
using TlsContext = std::unique_ptr<SSL_CTX, TlsDeleter>;
using TlsSession = std::unique_ptr<SSL_SESSION, TlsDeleter>;

enum class TlsResult : std::uint8_t { done, wait, closed };

inline std::string tls_error() {
    const auto* text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "the connection was closed";
}

inline TlsContext make_context(const SSL_METHOD* method) {
    TlsContext context(SSL_CTX_new(method));
    if (!context) throw std::runtime_error(tls_error());
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    // Several records in one recv.
    SSL_CTX_set_read_ahead(context.get(), 1);
    SSL_CTX_set_default_read_buffer_len(context.get(), 64 * 1024);
    return context;
}

inline TlsResult judge(const Tls& tls, int result) {
    if (result > 0) return TlsResult::done;
    const int error = SSL_get_error(tls.get(), result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? TlsResult::wait
                                                                         : TlsResult::closed;
}

/// The handshake of either side.
inline TlsResult shake_hands(const Tls& tls) {
    ERR_clear_error();
    return judge(tls, SSL_do_handshake(tls.get()));
}

inline TlsResult tls_read(const Tls& tls, char* bytes, std::size_t size, std::size_t& count) {
    ERR_clear_error();
    count = 0;
    return judge(tls, SSL_read_ex(tls.get(), bytes, size, &count));
}

inline TlsResult tls_write(const Tls& tls, std::string_view bytes, std::size_t& count) {
    ERR_clear_error();
    count = 0;
    return judge(tls, SSL_write_ex(tls.get(), bytes.data(), bytes.size(), &count));
}

}  // namespace nomiqon::bench
