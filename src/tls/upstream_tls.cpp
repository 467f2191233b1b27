#include "nomiqon/tls/upstream_tls.h"

#include <openssl/err.h>
#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "certificate.h"
#include "nomiqon/core/ip_address.h"
#include "server_context.h"
#include "session_store.h"
#include "system_roots.h"

namespace nomiqon::tls {
namespace {

/// RFC 7301's list: each name after its length.
constexpr std::array<unsigned char, 9> alpn_http_1_1{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/// Of a connection: whose session it makes, and where that is kept.
struct Peer {
    std::string name;
    std::shared_ptr<SessionStore> sessions;
};

void free_peer(void*, void* peer, CRYPTO_EX_DATA*, int, long, void*) {
    const std::unique_ptr<Peer> owned{static_cast<Peer*>(peer)};
}

int peer_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_peer);
    return index;
}

/// Runs on whichever thread reads the connection: with TLS 1.3 the tickets come after the handshake.
int keep_session(SSL* connection, SSL_SESSION* session) {
    const auto* const peer = static_cast<const Peer*>(SSL_get_ex_data(connection, peer_index()));
    if (peer == nullptr || SSL_get_verify_result(connection) != X509_V_OK) return 0;
    // OpenSSL goes on using this object for its connection, so another thread gets a copy.
    SessionPtr copy{SSL_SESSION_dup(session)};
    if (copy) peer->sessions->put(peer->name, std::move(copy));
    return 0;  // OpenSSL keeps its own reference
}

bool set_target(SSL* connection, const HostName& host) {
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // RFC 6066 section 3: no address is a server name.
    if (!host.is_ip_literal()) {
        return SSL_set1_host(connection, host.str().c_str()) == 1 &&
               SSL_set_tlsext_host_name(connection, host.str().c_str()) == 1;
    }
    std::string text = host.str();
    if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), text.c_str()) == 1;
}

std::string certificate_failure(long result, const HostName& host) {
    switch (result) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "its certificate has expired";
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "its certificate is not valid yet";
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return "its certificate is for another name than " + host.str();
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return "its certificate is self-signed";
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return "its certificate was issued by nobody that this gateway trusts";
        case X509_V_ERR_CERT_REVOKED:
            return "its certificate is revoked";
        case X509_V_ERR_EE_KEY_TOO_SMALL:
        case X509_V_ERR_CA_KEY_TOO_SMALL:
        case X509_V_ERR_CA_MD_TOO_WEAK:
            return "its certificate is too weak";
        default:
            return std::string("its certificate can't be verified: ") + X509_verify_cert_error_string(result);
    }
}

std::string protocol_failure(unsigned long code) {
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) return {};
    switch (ERR_GET_REASON(code)) {
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
            return "what it answers is not TLS";
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return "it speaks no TLS 1.2 or 1.3";
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_NO_SHARED_CIPHER:
            return "it accepts none of this gateway's ciphers";
        case SSL_R_TLSV1_UNRECOGNIZED_NAME:
            return "it does not know that name";
        case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
            return "it does not speak HTTP/1.1";
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            return "it asks for a client certificate";
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return "it closed the connection during the handshake";
        default:
            return std::string("the handshake failed: ") + ERR_reason_error_string(code);
    }
}

}  // namespace

struct UpstreamTls::State {
    ContextPtr context;
    std::shared_ptr<SessionStore> sessions;

    static std::expected<std::shared_ptr<const State>, std::string> make(const Options& options) {
        auto roots = make_root_store(options.ca_file);
        if (!roots) return std::unexpected(std::move(roots.error()));
        ContextPtr context{SSL_CTX_new(TLS_client_method())};
        if (!context || !set_common_options(context.get()) ||
            SSL_CTX_set_alpn_protos(context.get(), alpn_http_1_1.data(), alpn_http_1_1.size()) != 0) {
            return std::unexpected("TLS to providers can't be set up: " + openssl_reason());
        }
        SSL_CTX_set_cert_store(context.get(), roots->release());  // takes it over
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context.get(), keep_session);
        return std::make_shared<const State>(std::move(context),
                                             std::make_shared<SessionStore>(options.sessions));
    }
};

UpstreamTls::UpstreamTls(std::shared_ptr<const State> state) : state_(std::move(state)) {}

std::expected<std::unique_ptr<UpstreamTls>, std::string> UpstreamTls::make(const Options& options) {
    auto state = State::make(options);
    if (!state) return std::unexpected(std::move(state.error()));
    // NOLINTNEXTLINE(*-owning-memory): the constructor is private
    return std::unique_ptr<UpstreamTls>{new UpstreamTls{std::move(*state)}};
}

std::expected<void, std::string> UpstreamTls::reload(const Options& options) {
    auto state = State::make(options);
    if (!state) return std::unexpected(std::move(state.error()));
    const std::lock_guard lock{mutex_};
    state_ = std::move(*state);
    return {};
}

SslPtr UpstreamTls::connection(const HostName& host, std::uint16_t port) {
    std::unique_lock lock{mutex_};
    const auto state = state_;
    lock.unlock();
    SslPtr connection{SSL_new(state->context.get())};
    if (!connection || !set_target(connection.get(), host)) return nullptr;
    auto peer = std::make_unique<Peer>(host.str() + ':' + std::to_string(port), state->sessions);
    const SessionPtr session = state->sessions->take(peer->name);
    if (SSL_set_ex_data(connection.get(), peer_index(), peer.get()) != 1) return nullptr;
    static_cast<void>(peer.release());  // the connection's from here on
    if (session) SSL_set_session(connection.get(), session.get());
    SSL_set_connect_state(connection.get());
    return connection;
}

std::string handshake_failure(const SSL* connection, const HostName& host) {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (is_certificate_failure(connection))
        return certificate_failure(SSL_get_verify_result(connection), host);
    auto phrase = protocol_failure(code);
    return phrase.empty() ? "it closed the connection during the handshake" : phrase;
}

bool is_certificate_failure(const SSL* connection) {
    return SSL_get_verify_result(connection) != X509_V_OK;
}

}  // namespace nomiqon::tls
