#include "server_context.h"

#include <openssl/sha.h>
#include <openssl/tls1.h>
#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "certificate.h"

namespace nomiqon::tls {
namespace {

constexpr std::string_view http_1_1 = "http/1.1";
constexpr int security_level = 2;  // 112 bits

/// What a context's callbacks need, for as long as it lives.
struct Binding {
    std::string host;
    std::shared_ptr<TicketKeys> tickets;
};

void free_binding(void*, void* binding, CRYPTO_EX_DATA*, int, long, void*) {
    const std::unique_ptr<Binding> owned{static_cast<Binding*>(binding)};
}

int binding_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_binding);
    return index;
}

Binding& binding_of(SSL* connection) {
    return *static_cast<Binding*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), binding_index()));
}

/// Takes `count` bytes off the front.
std::optional<std::span<const unsigned char>> take(std::span<const unsigned char>& rest, std::size_t count) {
    if (rest.size() < count) return std::nullopt;
    const auto taken = rest.first(count);
    rest = rest.subspan(count);
    return taken;
}

std::optional<std::size_t> take_length(std::span<const unsigned char>& rest) {
    const auto bytes = take(rest, 2);
    if (!bytes) return std::nullopt;
    return (static_cast<std::size_t>((*bytes)[0]) << 8U) | (*bytes)[1];
}

/// RFC 6066 section 3: a list of names, of which the type host_name is the only one that was ever defined.
std::optional<std::string> server_name_in(std::span<const unsigned char> extension) {
    const auto list_size = take_length(extension);
    if (!list_size || *list_size != extension.size()) return std::nullopt;
    const auto type = take(extension, 1);
    const auto size = type ? take_length(extension) : std::nullopt;
    if (!size || (*type)[0] != TLSEXT_NAMETYPE_host_name || *size != extension.size()) return std::nullopt;
    return std::string(extension.begin(), extension.end());
}

bool is_same_host(const std::string& name, const std::string& host) {
    if (name == host) return true;
    const auto parsed = HostName::parse(name);
    return parsed && parsed->str() == host;
}

/// Looks at the ClientHello itself: for a TLS 1.2 session that is resumed OpenSSL would tell the session's
/// name.
int check_server_name(SSL* connection, int* alert, void*) {
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(connection, TLSEXT_TYPE_server_name, &data, &size) != 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    const auto name = server_name_in({data, size});
    if (name && is_same_host(*name, binding_of(connection).host)) return SSL_CLIENT_HELLO_SUCCESS;
    *alert = name ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

/// The name is good, or the handshake would not be here; without this it would not be acknowledged.
int acknowledge_server_name(SSL*, int*, void*) {
    return SSL_TLSEXT_ERR_OK;
}

/// RFC 7301 section 3.2.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void*) {
    std::span<const unsigned char> rest{in, in_size};
    while (const auto size = take(rest, 1)) {
        const auto name = take(rest, (*size)[0]);
        if (!name) break;
        if (std::ranges::equal(*name, http_1_1)) {
            *out = name->data();
            *out_size = static_cast<unsigned char>(name->size());
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int use_ticket_key(SSL* connection, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                   EVP_MAC_CTX* mac, int sealing) {
    TicketKeys& keys = *binding_of(connection).tickets;
    return sealing != 0 ? keys.seal(name, iv, cipher, mac) : keys.open(name, iv, cipher, mac);
}

/// Tickets of all contexts can be opened by each; this keeps a session with its own host.
bool set_session_context(SSL_CTX* context, const std::string& host) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> id{};
    static_assert(id.size() <= SSL_MAX_SID_CTX_LENGTH);
    unsigned int size = 0;
    return EVP_Digest(host.data(), host.size(), id.data(), &size, EVP_sha256(), nullptr) == 1 &&
           SSL_CTX_set_session_id_context(context, id.data(), size) == 1;
}

bool set_certificates(SSL_CTX* context, X509* leaf, EVP_PKEY* leaf_key, const Issuer& issuer) {
    if (SSL_CTX_use_certificate(context, leaf) != 1 || SSL_CTX_use_PrivateKey(context, leaf_key) != 1)
        return false;
    for (const auto& certificate : issuer.chain()) {
        // Clients have the root, or don't trust it.
        if (is_self_signed(certificate.get())) continue;
        if (SSL_CTX_add1_chain_cert(context, certificate.get()) != 1) return false;
    }
    return true;
}

void set_sessions(SSL_CTX* context) {
    // Tickets only: a cache in memory would need a limit of its own, and serve no client of this decade.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, std::chrono::seconds{TicketKeys::life}.count());
    // One a handshake: a second one would cost each of them, for clients that open connections in pairs.
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_ticket_key);
}

}  // namespace

bool set_common_options(SSL_CTX* context) {
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) return false;
    SSL_CTX_set_security_level(context, security_level);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context, 1);
    return true;
}

ContextPtr make_server_context(const HostName& host, X509* leaf, EVP_PKEY* leaf_key, const Issuer& issuer,
                               std::shared_ptr<TicketKeys> tickets) {
    ContextPtr context{SSL_CTX_new(TLS_server_method())};
    if (!context || !set_common_options(context.get()) || !set_session_context(context.get(), host.str()) ||
        !set_certificates(context.get(), leaf, leaf_key, issuer)) {
        return nullptr;
    }
    auto binding = std::make_unique<Binding>(host.str(), std::move(tickets));
    if (SSL_CTX_set_ex_data(context.get(), binding_index(), binding.get()) != 1) return nullptr;
    static_cast<void>(binding.release());  // the context's from here on
    SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    set_sessions(context.get());
    SSL_CTX_set_client_hello_cb(context.get(), check_server_name, nullptr);
    SSL_CTX_set_tlsext_servername_callback(context.get(), acknowledge_server_name);
    SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
    return context;
}

}  // namespace nomiqon::tls
