// What a client meets at a context of LeafCache, over a pair of memory BIOs.

#include "tls/tls_world.h"

namespace nomiqon::tls {
namespace {

struct World {
    TestDirectory directory;
    TestClock clock;
    std::unique_ptr<CertificateAuthority> authority =
        CertificateAuthority::open(directory.path(), {}, clock).value();
    LeafCache cache{*authority, {}, clock};
    LeafCache::Context server = cache.mint(host("api.openai.com")).value();
    ContextPtr client{SSL_CTX_new(TLS_client_method())};

    World() {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(client.get()), authority->issuer()->certificate());
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(client.get()), X509_V_FLAG_X509_STRICT);
        SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_session_cache_mode(client.get(), SSL_SESS_CACHE_CLIENT);
    }
    [[nodiscard]] SslPtr client_for(const std::string& server_name) const {
        SslPtr connection{SSL_new(client.get())};
        SSL_set_connect_state(connection.get());
        if (!server_name.empty()) SSL_set_tlsext_host_name(connection.get(), server_name.c_str());
        return connection;
    }
    static SslPtr accept(const LeafCache::Context& context) {
        SslPtr connection{SSL_new(context.get())};
        SSL_set_accept_state(connection.get());
        return connection;
    }
};

/// A whole connection, and the session that the client may resume afterwards.
SessionPtr session_of(World& world, const LeafCache::Context& context, const std::string& name, int version) {
    const SslPtr client = world.client_for(name);
    const SslPtr server = World::accept(context);
    SSL_set_max_proto_version(client.get(), version);
    EXPECT_TRUE(shake_hands(client.get(), server.get()).done);
    EXPECT_EQ(echo(client.get(), server.get(), "ping"), "ping");
    SSL_shutdown(client.get());
    SSL_shutdown(server.get());
    return SessionPtr{SSL_get1_session(client.get())};
}

Handshake resume(World& world, const LeafCache::Context& context, const std::string& name, int version,
                 SSL_SESSION* session, bool& resumed) {
    const SslPtr client = world.client_for(name);
    const SslPtr server = World::accept(context);
    SSL_set_max_proto_version(client.get(), version);
    SSL_set_session(client.get(), session);
    auto result = shake_hands(client.get(), server.get());
    resumed = SSL_session_reused(client.get()) == 1;
    return result;
}

TEST(ServerHandshake, AStrictClientConnectsAndGetsHttp11) {
    World world;
    const SslPtr client = world.client_for("api.openai.com");
    const SslPtr server = World::accept(world.server);
    const std::string offered{"\x02h2\x08http/1.1", 12};
    SSL_set_alpn_protos(client.get(), reinterpret_cast<const unsigned char*>(offered.data()), 12);
    SSL_set1_host(client.get(), "api.openai.com");
    const auto result = shake_hands(client.get(), server.get());
    ASSERT_TRUE(result.done) << result.client_error << result.server_error;
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(client.get(), &chosen, &size);
    EXPECT_EQ(std::string(chosen, chosen + size), "http/1.1");
    EXPECT_EQ(SSL_version(client.get()), TLS1_3_VERSION);
    EXPECT_EQ(echo(client.get(), server.get(), "ping"), "ping");
}

TEST(ServerHandshake, AClientOfHttp2AloneIsToldSo) {
    World world;
    const SslPtr client = world.client_for("api.openai.com");
    const SslPtr server = World::accept(world.server);
    const std::string offered{"\x02h2", 3};
    SSL_set_alpn_protos(client.get(), reinterpret_cast<const unsigned char*>(offered.data()), 3);
    const auto result = shake_hands(client.get(), server.get());
    EXPECT_FALSE(result.done);
    EXPECT_EQ(result.client_error, "tlsv1 alert no application protocol");
}

TEST(ServerHandshake, AnotherServerNameThanTheConnectHostIsRefused) {
    World world;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const SslPtr client = world.client_for("api.anthropic.com");
        const SslPtr server = World::accept(world.server);
        SSL_set_max_proto_version(client.get(), version);
        const auto result = shake_hands(client.get(), server.get());
        EXPECT_FALSE(result.done);
        EXPECT_EQ(result.client_error, "tlsv1 unrecognized name");
    }
}

TEST(ServerHandshake, AServerNameInAnotherSpellingOrNoneIsTaken) {
    World world;
    for (const std::string name : {"API.OpenAI.com", "api.openai.com.", ""}) {
        const SslPtr client = world.client_for(name);
        const SslPtr server = World::accept(world.server);
        EXPECT_TRUE(shake_hands(client.get(), server.get()).done) << name;
    }
}

TEST(ServerHandshake, OldVersionsAreRefused) {
    World world;
    const SslPtr client = world.client_for("api.openai.com");
    const SslPtr server = World::accept(world.server);
    SSL_set_security_level(client.get(), 0);
    SSL_set_min_proto_version(client.get(), TLS1_1_VERSION);
    SSL_set_max_proto_version(client.get(), TLS1_1_VERSION);
    const auto result = shake_hands(client.get(), server.get());
    EXPECT_FALSE(result.done);
    EXPECT_EQ(result.client_error, "tlsv1 alert protocol version");
}

class Resumption : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, Resumption, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Resumption, ATicketResumesTheSession) {
    World world;
    const auto session = session_of(world, world.server, "api.openai.com", GetParam());
    bool resumed = false;
    EXPECT_TRUE(resume(world, world.server, "api.openai.com", GetParam(), session.get(), resumed).done);
    EXPECT_TRUE(resumed);
}

TEST_P(Resumption, ATicketOutlivesTheContextOfItsHost) {
    World world;
    const auto session = session_of(world, world.server, "api.openai.com", GetParam());
    const auto renewed = world.cache.mint(host("api.openai.com")).value();
    ASSERT_NE(renewed, world.server);
    bool resumed = false;
    EXPECT_TRUE(resume(world, renewed, "api.openai.com", GetParam(), session.get(), resumed).done);
    EXPECT_TRUE(resumed);
}

TEST_P(Resumption, ATicketIsGoodForItsOwnHostOnly) {
    World world;
    const auto session = session_of(world, world.server, "", GetParam());
    const auto other = world.cache.mint(host("api.tavily.com")).value();
    bool resumed = true;
    EXPECT_TRUE(resume(world, other, "", GetParam(), session.get(), resumed).done);
    EXPECT_FALSE(resumed);
}

TEST_P(Resumption, AResumedSessionDoesNotHideAnotherServerName) {
    World world;
    const auto session = session_of(world, world.server, "api.openai.com", GetParam());
    bool resumed = true;
    const auto result = resume(world, world.server, "api.anthropic.com", GetParam(), session.get(), resumed);
    EXPECT_FALSE(result.done);
    EXPECT_EQ(result.client_error, "tlsv1 unrecognized name");
}

TEST_P(Resumption, TicketKeysAreForgottenAfterTwoOfTheirLives) {
    World world;
    const auto session = session_of(world, world.server, "api.openai.com", GetParam());
    bool resumed = false;
    world.clock.advance(9h);
    EXPECT_TRUE(resume(world, world.server, "api.openai.com", GetParam(), session.get(), resumed).done);
    EXPECT_TRUE(resumed) << "the key before is still taken";
    world.clock.advance(9h);
    EXPECT_TRUE(resume(world, world.server, "api.openai.com", GetParam(), session.get(), resumed).done);
    EXPECT_FALSE(resumed);
}

TEST(ServerHandshake, RenegotiationIsRefused) {
    World world;
    const SslPtr client = world.client_for("api.openai.com");
    const SslPtr server = World::accept(world.server);
    SSL_set_max_proto_version(client.get(), TLS1_2_VERSION);
    ASSERT_TRUE(shake_hands(client.get(), server.get()).done);
    SSL_renegotiate(client.get());
    SSL_do_handshake(client.get());
    char byte = 0;
    SSL_read(server.get(), &byte, 1);
    EXPECT_LT(SSL_read(client.get(), &byte, 1), 1);
    EXPECT_EQ(openssl_reason(), "no renegotiation");
}

TEST(ServerHandshake, AContextOutlivesTheCache) {
    LeafCache::Context context;
    TestDirectory directory;
    TestClock clock;
    const auto authority = CertificateAuthority::open(directory.path(), {}, clock).value();
    {
        LeafCache cache{*authority, {}, clock};
        context = cache.mint(host("a.example")).value();
    }
    const ContextPtr client_context{SSL_CTX_new(TLS_client_method())};
    const SslPtr client{SSL_new(client_context.get())};
    SSL_set_connect_state(client.get());
    const SslPtr server = World::accept(context);
    context.reset();
    EXPECT_TRUE(shake_hands(client.get(), server.get()).done);
}

}  // namespace
}  // namespace nomiqon::tls
