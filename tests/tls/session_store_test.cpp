#include "session_store.h"

#include "tls/tls_world.h"

namespace nomiqon::tls {
namespace {

/// A session as a handshake with a certificate that ends so leaves it.
SessionPtr session(int version, Duration certificate_ends = 24h) {
    const auto identity = make(
        {.name = "p", .extensions = server_extensions("DNS:p"), .begins = -48h, .ends = certificate_ends});
    const ContextPtr server_context{SSL_CTX_new(TLS_server_method())};
    SSL_CTX_use_certificate(server_context.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(server_context.get(), identity.key.get());
    const ContextPtr client_context{SSL_CTX_new(TLS_client_method())};
    // Its own cache would spoil the sessions in it when it dies.
    SSL_CTX_set_session_cache_mode(client_context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    const SslPtr client{SSL_new(client_context.get())};
    const SslPtr server{SSL_new(server_context.get())};
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    SSL_set_max_proto_version(client.get(), version);
    EXPECT_TRUE(shake_hands(client.get(), server.get()).done);
    SSL_shutdown(client.get());
    return SessionPtr{SSL_get1_session(client.get())};
}

TEST(SessionStore, GivesATls13SessionOnceAndATls12OneAgain) {
    SessionStore store{4};
    store.put("a:443", session(TLS1_3_VERSION));
    EXPECT_NE(store.take("a:443"), nullptr);
    EXPECT_EQ(store.take("a:443"), nullptr);
    store.put("a:443", session(TLS1_2_VERSION));
    EXPECT_NE(store.take("a:443"), nullptr);
    EXPECT_NE(store.take("a:443"), nullptr);
    EXPECT_EQ(store.take("b:443"), nullptr);
}

TEST(SessionStore, KeepsAFewAPeerAndForgetsThePeerThatWasUsedLeast) {
    SessionStore store{2};
    for (std::size_t i = 0; i < SessionStore::sessions_a_peer + 2; ++i)
        store.put("a:443", session(TLS1_3_VERSION));
    store.put("b:443", session(TLS1_3_VERSION));
    EXPECT_NE(store.take("a:443"), nullptr);
    store.put("c:443", session(TLS1_3_VERSION));
    EXPECT_EQ(store.take("b:443"), nullptr);
    std::size_t left = 0;
    while (store.take("a:443"))
        ++left;
    EXPECT_EQ(left, SessionStore::sessions_a_peer - 1);
}

TEST(SessionStore, GivesNoSessionThatWouldHideAnEndedCertificateOrIsOld) {
    SessionStore store{4};
    store.put("a:443", session(TLS1_2_VERSION, -1h));
    EXPECT_EQ(store.take("a:443"), nullptr);
    auto old = session(TLS1_2_VERSION);
    SSL_SESSION_set_time(old.get(), static_cast<long>(std::time(nullptr)) - 3601);
    store.put("a:443", std::move(old));
    EXPECT_EQ(store.take("a:443"), nullptr);
}

TEST(SessionStore, OfNoPeersKeepsNothing) {
    SessionStore store{0};
    store.put("a:443", session(TLS1_2_VERSION));
    EXPECT_EQ(store.take("a:443"), nullptr);
}

}  // namespace
}  // namespace nomiqon::tls
