#include "nomiqon/tls/upstream_tls.h"

#include <cstdlib>

#include "tls/tls_world.h"

namespace nomiqon::tls {
namespace {

int take_http11(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned int,
                void*) {
    *out = in + 1;
    *size = in[0];
    return SSL_TLSEXT_ERR_OK;
}

/// A provider with a certificate of a CA that `upstream.caFile` names.
struct World {
    TestDirectory directory;
    Identity root = make({.name = "Provider Root", .extensions = ca_extensions()});
    std::unique_ptr<UpstreamTls> upstream;

    World() {
        write(directory / "roots.pem", root.pem());
        upstream = UpstreamTls::make({.ca_file = directory / "roots.pem"}).value();
    }
    [[nodiscard]] Identity server_certificate(const std::string& names, Duration ends = 24h) const {
        return make({.name = "provider",
                     .issuer = &root,
                     .extensions = server_extensions(names),
                     .begins = -48h,
                     .ends = ends});
    }
    static ContextPtr server(const Identity& identity) {
        ContextPtr context{SSL_CTX_new(TLS_server_method())};
        SSL_CTX_use_certificate(context.get(), identity.certificate.get());
        SSL_CTX_use_PrivateKey(context.get(), identity.key.get());
        SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("p"), 1);
        SSL_CTX_set_alpn_select_cb(context.get(), take_http11, nullptr);
        return context;
    }
    /// What a connection to `name` at that server comes to: "" or the phrase.
    std::string attempt(SSL_CTX* server_context, const std::string& name, int version = TLS1_3_VERSION,
                        bool* resumed = nullptr, std::uint16_t port = 443) const {
        const auto target = host(name);
        const SslPtr client = upstream->connection(target, port);
        const SslPtr server{SSL_new(server_context)};
        SSL_set_accept_state(server.get());
        SSL_set_min_proto_version(server.get(), version);
        SSL_set_max_proto_version(server.get(), version);
        const auto result = shake_hands(client.get(), server.get(), &target, handshake_failure);
        if (!result.done) {
            refused_certificate = is_certificate_failure(client.get());
            return result.client_error;
        }
        EXPECT_EQ(echo(client.get(), server.get(), "ping"), "ping");
        if (resumed != nullptr) *resumed = SSL_session_reused(client.get()) == 1;
        SSL_shutdown(client.get());
        return {};
    }
    mutable bool refused_certificate = false;
};

TEST(UpstreamTls, AGoodCertificateIsTaken) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com,DNS:*.svc.example.com"));
    EXPECT_EQ(world.attempt(server.get(), "api.example.com"), "");
    EXPECT_EQ(world.attempt(server.get(), "a.svc.example.com"), "");
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", TLS1_2_VERSION), "");
}

TEST(UpstreamTls, AnAddressIsVerifiedAsOne) {
    World world;
    const auto server = World::server(world.server_certificate("IP:10.0.0.1,IP:2001:db8::1,DNS:10.0.0.2"));
    EXPECT_EQ(world.attempt(server.get(), "10.0.0.1"), "");
    EXPECT_EQ(world.attempt(server.get(), "[2001:db8::1]"), "");
    EXPECT_EQ(world.attempt(server.get(), "10.0.0.2"), "its certificate is for another name than 10.0.0.2");
}

TEST(UpstreamTls, TheServerIsToldItsNameAndHttp11) {
    World world;
    const auto identity = world.server_certificate("DNS:api.example.com,IP:10.0.0.1");
    const auto server_context = World::server(identity);
    for (const std::string name : {"api.example.com", "10.0.0.1"}) {
        const SslPtr client = world.upstream->connection(host(name), 443);
        const SslPtr server{SSL_new(server_context.get())};
        SSL_set_accept_state(server.get());
        ASSERT_TRUE(shake_hands(client.get(), server.get()).done);
        const char* const told = SSL_get_servername(server.get(), TLSEXT_NAMETYPE_host_name);
        EXPECT_EQ(told == nullptr ? "" : std::string(told), name == "10.0.0.1" ? "" : name);
        const unsigned char* protocol = nullptr;
        unsigned int size = 0;
        SSL_get0_alpn_selected(client.get(), &protocol, &size);
        EXPECT_EQ(std::string(protocol, protocol + size), "http/1.1");
    }
}

TEST(UpstreamTls, BadCertificatesAreRefusedWithAPhrase) {
    World world;
    const auto phrase = [&](const Identity& identity) {
        const auto server = World::server(identity);
        auto text = world.attempt(server.get(), "api.example.com");
        EXPECT_TRUE(world.refused_certificate);
        return text;
    };
    EXPECT_EQ(phrase(world.server_certificate("DNS:other.example.com")),
              "its certificate is for another name than api.example.com");
    EXPECT_EQ(phrase(world.server_certificate("DNS:a*.example.com")),
              "its certificate is for another name than api.example.com");
    EXPECT_EQ(phrase(world.server_certificate("DNS:api.example.com", -1h)), "its certificate has expired");
    EXPECT_EQ(phrase(make({.name = "self", .extensions = server_extensions("DNS:api.example.com")})),
              "its certificate is self-signed");
    const auto stranger = make({.name = "Stranger", .extensions = ca_extensions()});
    EXPECT_EQ(phrase(make({.name = "provider",
                           .issuer = &stranger,
                           .extensions = server_extensions("DNS:api.example.com")})),
              "its certificate was issued by nobody that this gateway trusts");
    EXPECT_EQ(phrase(make({.name = "provider",
                           .issuer = &world.root,
                           .extensions = server_extensions("DNS:api.example.com"),
                           .begins = 2h})),
              "its certificate is not valid yet");
}

TEST(UpstreamTls, AServersOwnCertificateInTheFileIsTrusted) {
    World world;
    const auto self = make({.name = "self", .extensions = server_extensions("DNS:api.example.com")});
    write(world.directory / "roots.pem", self.pem());
    ASSERT_TRUE(world.upstream->reload({.ca_file = world.directory / "roots.pem"}));
    EXPECT_EQ(world.attempt(World::server(self).get(), "api.example.com"), "");
}

TEST(UpstreamTls, WhatIsNotTlsIsToldSo) {
    World world;
    const auto target = host("api.example.com");
    const SslPtr client = world.upstream->connection(target, 443);
    const BioPtr out{BIO_new(BIO_s_mem())};
    const std::string answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    BIO* const in = BIO_new_mem_buf(answer.data(), static_cast<int>(answer.size()));
    SSL_set0_rbio(client.get(), in);
    BIO_up_ref(out.get());
    SSL_set0_wbio(client.get(), out.get());
    EXPECT_NE(SSL_do_handshake(client.get()), 1);
    EXPECT_EQ(handshake_failure(client.get(), target), "what it answers is not TLS");
    EXPECT_FALSE(is_certificate_failure(client.get()));
}

TEST(UpstreamTls, OldVersionsAreRefused) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com"));
    SSL_CTX_set_security_level(server.get(), 0);
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", TLS1_1_VERSION), "it speaks no TLS 1.2 or 1.3");
}

class UpstreamResumption : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, UpstreamResumption, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(UpstreamResumption, SessionsAreResumedForTheSameHostAndPort) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com,DNS:b.example.com"));
    bool resumed = true;
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", GetParam(), &resumed), "");
    EXPECT_FALSE(resumed);
    EXPECT_EQ(world.attempt(server.get(), "b.example.com", GetParam(), &resumed), "");
    EXPECT_FALSE(resumed);
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", GetParam(), &resumed, 8443), "");
    EXPECT_FALSE(resumed);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(world.attempt(server.get(), "api.example.com", GetParam(), &resumed), "");
        EXPECT_TRUE(resumed);
    }
}

TEST_P(UpstreamResumption, AReloadForgetsSessionsOfTheOldRoots) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com"));
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", GetParam()), "");
    write(world.directory / "roots.pem", make({.name = "Other", .extensions = ca_extensions()}).pem());
    ASSERT_TRUE(world.upstream->reload({.ca_file = world.directory / "roots.pem"}));
    EXPECT_EQ(world.attempt(server.get(), "api.example.com", GetParam()),
              "its certificate was issued by nobody that this gateway trusts");
}

TEST(UpstreamTls, ASessionOfTls13IsResumedOnce) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com"));
    SSL_CTX_set_num_tickets(server.get(), 1);
    EXPECT_EQ(world.attempt(server.get(), "api.example.com"), "");
    const SslPtr first = world.upstream->connection(host("api.example.com"), 443);
    const SslPtr second = world.upstream->connection(host("api.example.com"), 443);
    EXPECT_NE(SSL_get_session(first.get()), nullptr);
    EXPECT_EQ(SSL_get_session(second.get()), nullptr);
}

TEST(UpstreamTls, ABadFileOfRootsChangesNothing) {
    World world;
    const auto server = World::server(world.server_certificate("DNS:api.example.com"));
    write(world.directory / "bad.pem", "no certificate");
    const auto reloaded = world.upstream->reload({.ca_file = world.directory / "bad.pem"});
    ASSERT_FALSE(reloaded);
    EXPECT_NE(reloaded.error().find("bad.pem"), std::string::npos);
    EXPECT_FALSE(UpstreamTls::make({.ca_file = world.directory / "missing.pem"}));
    EXPECT_EQ(world.attempt(server.get(), "api.example.com"), "");
}

TEST(UpstreamTls, TheSystemsRootsAreTrustedWithoutAFile) {
    World world;
    ::setenv("SSL_CERT_FILE", (world.directory / "roots.pem").c_str(), 1);
    world.upstream = UpstreamTls::make({}).value();
    ::unsetenv("SSL_CERT_FILE");
    const auto server = World::server(world.server_certificate("DNS:api.example.com"));
    EXPECT_EQ(world.attempt(server.get(), "api.example.com"), "");
}

}  // namespace
}  // namespace nomiqon::tls
