#include "nomiqon/tls/ca_store.h"

#include <thread>

#include "tls/tls_world.h"

namespace nomiqon::tls {
namespace {

struct World {
    TestDirectory directory;
    TestClock clock;
    CaStore store{directory.path(), clock};

    [[nodiscard]] std::size_t certificates_in_crt() const {
        return read_certificates(content_of(directory / "ca.crt")).value().size();
    }
};

/// A company's root, and the intermediate that it gave to the gateway.
struct Company {
    Identity root = make({.name = "Example Corp Root", .extensions = ca_extensions()});
    Identity intermediate = make({.name = "Example Corp Proxy CA",
                                  .issuer = &root,
                                  .extensions = ca_extensions("critical,CA:TRUE,pathlen:0"),
                                  .ends = 12h});
    void save(const TestDirectory& directory) const {
        write(directory / "chain.pem", intermediate.pem() + root.pem());
        write(directory / "import.key", key_pem(intermediate.key.get()));
    }
};

TEST(CaStore, FirstStartMakesAStrictCaWithAPrivateKeyFile) {
    World world;
    const auto issuer = world.store.open_or_make({});
    ASSERT_TRUE(issuer) << text_of(issuer);
    EXPECT_EQ(mode_of(world.directory / "ca.key"), 0600U);
    EXPECT_EQ(mode_of(world.directory / "ca.crt"), 0644U);
    EXPECT_TRUE(content_of(world.directory / "ca.key").starts_with("-----BEGIN PRIVATE KEY-----"));
    EXPECT_EQ(content_of(world.directory / "ca.crt").find("PRIVATE"), std::string::npos);

    const auto certificates = read_certificates(content_of(world.directory / "ca.crt")).value();
    ASSERT_EQ(certificates.size(), 1U);
    X509* const ca = certificates[0].get();
    EXPECT_EQ(X509_get_pathlen(ca), 0);
    EXPECT_EQ(X509_get_key_usage(ca), static_cast<unsigned>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
    EXPECT_NE(X509_get0_subject_key_id(ca), nullptr);
    EXPECT_NE(X509_get0_authority_key_id(ca), nullptr);
    EXPECT_EQ(ASN1_STRING_length(X509_get0_serialNumber(ca)), 20);
    EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(ca)), 256);
    for (const int nid : {NID_basic_constraints, NID_key_usage}) {
        X509_EXTENSION* const extension = X509_get_ext(ca, X509_get_ext_by_NID(ca, nid, -1));
        EXPECT_EQ(X509_EXTENSION_get_critical(extension), 1);
    }
    const auto info = describe(ca);
    EXPECT_GT(info.not_after, world.clock.now() + 4 * 365 * 24h);
    EXPECT_LE(info.not_before, world.clock.now() - 59min);
}

TEST(CaStore, LaterStartsOpenTheSameCa) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto before = content_of(world.directory / "ca.key");
    ASSERT_TRUE(world.store.open_or_make({}));
    ASSERT_TRUE(world.store.open());
    EXPECT_EQ(content_of(world.directory / "ca.key"), before);
}

TEST(CaStore, TwoStartsAtOnceAgreeOnOneCa) {
    for (int round = 0; round < 10; ++round) {
        World world;
        std::vector<std::string> subjects(4);
        {
            std::vector<std::jthread> starts;
            for (auto& subject : subjects) {
                starts.emplace_back([&world, &subject] {
                    const auto issuer = world.store.open_or_make({});
                    subject = issuer ? fingerprint_of((*issuer)->certificate()) : text_of(issuer);
                });
            }
        }
        for (const auto& subject : subjects)
            EXPECT_EQ(subject, world.store.state().value().active[0].fingerprint);
    }
}

TEST(CaStore, OpenNeverMakesACa) {
    World world;
    EXPECT_NE(text_of(world.store.open()).find("there is no CA"), std::string::npos);
    EXPECT_FALSE(fs::exists(world.directory / "ca.key"));
}

TEST(CaStore, AKeyThatOthersMayReadIsRefusedWithTheCommandThatMendsIt) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    fs::permissions(world.directory / "ca.key", fs::perms{0640});
    const auto text = text_of(world.store.open_or_make({}));
    EXPECT_NE(text.find("chmod 600 " + (world.directory / "ca.key").string()), std::string::npos) << text;
}

TEST(CaStore, DamagedFilesAreSaidToBeSoAndNeverReplaced) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto key = content_of(world.directory / "ca.key");
    const auto crt = content_of(world.directory / "ca.crt");
    for (const auto& damaged : {std::string{}, std::string{"\0\xff rubbish"}, key.substr(0, 100)}) {
        write(world.directory / "ca.key", damaged);
        const auto text = text_of(world.store.open_or_make({}));
        EXPECT_NE(text.find("holds no private key"), std::string::npos) << text;
        EXPECT_EQ(content_of(world.directory / "ca.key"), damaged);
    }
    write(world.directory / "ca.key", key);
    write(world.directory / "ca.crt", crt.substr(0, crt.size() / 2) + "!!\n-----END CERTIFICATE-----\n");
    EXPECT_NE(text_of(world.store.open_or_make({})).find("is damaged"), std::string::npos);
    write(world.directory / "ca.crt", "");
    EXPECT_NE(text_of(world.store.open_or_make({})).find("holds no certificate"), std::string::npos);
    write(world.directory / "ca.crt", crt);
    EXPECT_TRUE(world.store.open_or_make({}));
}

TEST(CaStore, NoProblemHoldsKeyMaterial) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto key = content_of(world.directory / "ca.key");
    const auto body = key.substr(key.find('\n') + 1, 40);
    fs::remove(world.directory / "ca.crt");
    const auto other = make({.name = "other", .extensions = ca_extensions()});
    write(world.directory / "ca.crt", other.pem());
    EXPECT_EQ(text_of(world.store.open_or_make({})).find(body), std::string::npos);
    write(world.directory / "ca.key", "x" + key.substr(0, 90));
    EXPECT_EQ(text_of(world.store.open_or_make({})).find(body), std::string::npos);
}

TEST(CaStore, AKeyWithAnotherCertificateIsRefused) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto other = make({.name = "other", .extensions = ca_extensions()});
    write(world.directory / "ca.crt", other.pem());
    EXPECT_NE(text_of(world.store.open()).find("lacks the certificate of the key"), std::string::npos);
    write(world.directory / "ca.key", key_pem(new_p256_key().get()));
    EXPECT_NE(text_of(world.store.open()).find("fits no certificate"), std::string::npos);
}

TEST(CaStore, FilesPutThereByHandAreTaken) {
    World world;
    const auto own = make({.name = "our CA", .extensions = ca_extensions("critical,CA:TRUE,pathlen:0")});
    write(world.directory / "ca.crt", own.pem());
    write(world.directory / "ca.key", key_pem(own.key.get()));
    const auto issuer = world.store.open_or_make({});
    ASSERT_TRUE(issuer) << text_of(issuer);
    EXPECT_EQ(X509_cmp((*issuer)->certificate(), own.certificate.get()), 0);
    ASSERT_TRUE(world.store.rotate({}));
    EXPECT_TRUE(world.store.open()) << text_of(world.store.open());
    ASSERT_TRUE(world.store.activate());
    EXPECT_TRUE(world.store.open()) << text_of(world.store.open());
}

TEST(CaStore, ALostKeyIsNotReplacedBehindTheClientsBacks) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    fs::remove(world.directory / "ca.key");
    EXPECT_NE(text_of(world.store.open_or_make({})).find("but not its key"), std::string::npos);
}

TEST(CaStore, ACrashBetweenTheTwoFilesOfTheFirstStartIsMended) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto crt = content_of(world.directory / "ca.crt");
    fs::remove(world.directory / "ca.crt");
    write(world.directory / ".ca.key.01HALF", "half a key");
    ASSERT_TRUE(world.store.open_or_make({}));
    EXPECT_EQ(content_of(world.directory / "ca.crt"), crt);
    EXPECT_FALSE(fs::exists(world.directory / ".ca.key.01HALF"));
}

TEST(CaStore, AnExpiredCaIsRefusedButShownAndReplaced) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    world.clock.advance(6 * 365 * 24h);
    EXPECT_NE(text_of(world.store.open_or_make({})).find("the CA ended on"), std::string::npos);
    EXPECT_TRUE(world.store.state());
    ASSERT_TRUE(world.store.rotate({}));
    ASSERT_TRUE(world.store.activate());
    EXPECT_TRUE(world.store.open_or_make({}));
}

TEST(CaStore, RotationTrustsBothUntilTheNextOneSigns) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto first = world.store.state().value().active[0];
    const auto next = world.store.rotate({});
    ASSERT_TRUE(next) << text_of(next);
    EXPECT_NE(next->subject, first.subject) << "a client finds the right one of two by its name";
    EXPECT_EQ(world.certificates_in_crt(), 2U);
    EXPECT_EQ(mode_of(world.directory / "ca.next.key"), 0600U);
    auto state = world.store.state().value();
    EXPECT_EQ(state.active[0], first);
    EXPECT_EQ(state.next[0], *next);
    EXPECT_TRUE(world.store.open());

    EXPECT_NE(text_of(world.store.rotate({})).find("waiting already"), std::string::npos);
    const auto activated = world.store.activate();
    ASSERT_TRUE(activated) << text_of(activated);
    EXPECT_EQ(*activated, *next);
    state = world.store.state().value();
    EXPECT_EQ(state.active[0], *next);
    EXPECT_TRUE(state.next.empty());
    EXPECT_EQ(world.certificates_in_crt(), 1U);
    EXPECT_FALSE(fs::exists(world.directory / "ca.next.key"));
    EXPECT_NE(text_of(world.store.activate()).find("no next CA is waiting"), std::string::npos);
}

TEST(CaStore, ARotationCanBeCancelled) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    const auto crt = content_of(world.directory / "ca.crt");
    ASSERT_TRUE(world.store.rotate({}));
    ASSERT_TRUE(world.store.cancel_rotation());
    EXPECT_EQ(content_of(world.directory / "ca.crt"), crt);
    EXPECT_FALSE(world.store.cancel_rotation());
}

TEST(CaStore, RotationKeepsTheNameConstraintsUnlessOthersAreNamed) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({"openai.com", "anthropic.com"}));
    EXPECT_EQ(world.store.rotate({}).value().name_constraints,
              (std::vector<std::string>{"openai.com", "anthropic.com"}));
    ASSERT_TRUE(world.store.cancel_rotation());
    EXPECT_EQ(world.store.rotate(std::vector<std::string>{}).value().name_constraints,
              std::vector<std::string>{});
}

TEST(CaStore, ACompanysIntermediateIsImportedWithItsRoot) {
    World world;
    const Company company;
    company.save(world.directory);
    const auto imported =
        world.store.import(world.directory / "chain.pem", world.directory / "import.key", true);
    ASSERT_TRUE(imported) << text_of(imported);
    EXPECT_EQ(imported->subject, "CN=Example Corp Proxy CA");
    EXPECT_EQ(world.certificates_in_crt(), 2U);
    const auto issuer = world.store.open_or_make({});
    ASSERT_TRUE(issuer) << text_of(issuer);
    EXPECT_EQ((*issuer)->chain().size(), 2U);
    EXPECT_LT((*issuer)->not_after(), world.clock.now() + 13h) << "the first of the chain to end";
}

TEST(CaStore, AnImportMayWaitAsTheNextCa) {
    World world;
    ASSERT_TRUE(world.store.open_or_make({}));
    Company{}.save(world.directory);
    ASSERT_TRUE(world.store.import(world.directory / "chain.pem", world.directory / "import.key", false));
    EXPECT_EQ(world.certificates_in_crt(), 3U);
    ASSERT_TRUE(world.store.activate());
    EXPECT_EQ(world.store.state().value().active.size(), 2U);
    EXPECT_EQ(world.certificates_in_crt(), 2U);
}

TEST(CaStore, AnImportThatClientsWouldRefuseIsRefused) {
    World world;
    const Company company;
    const auto refusal = [&](const std::string& chain, EVP_PKEY* key) {
        write(world.directory / "chain.pem", chain);
        write(world.directory / "import.key", key_pem(key));
        return text_of(
            world.store.import(world.directory / "chain.pem", world.directory / "import.key", true));
    };
    const auto says = [](const std::string& text, const std::string& part) {
        EXPECT_NE(text.find(part), std::string::npos) << text;
    };
    EVP_PKEY* const key = company.intermediate.key.get();
    says(refusal("", key), "holds no certificate");
    says(refusal(company.intermediate.pem(), key), "CN=Example Corp Root is missing");
    says(refusal(company.intermediate.pem() + company.root.pem(), new_p256_key().get()),
         "fits no certificate");

    const auto server =
        make({.name = "server", .issuer = &company.root, .extensions = server_extensions("DNS:a.example")});
    says(refusal(server.pem() + company.root.pem(), server.key.get()), "is not a CA's");

    const auto expired = make(
        {.name = "old", .issuer = &company.root, .extensions = ca_extensions(), .begins = -48h, .ends = -1h});
    says(refusal(expired.pem() + company.root.pem(), expired.key.get()), "the CA ended on");

    const auto below =
        make({.name = "below", .issuer = &company.intermediate, .extensions = ca_extensions()});
    says(refusal(below.pem() + company.intermediate.pem() + company.root.pem(), below.key.get()),
         "path length constraint exceeded");

    const auto loose = make({.name = "loose",
                             .issuer = &company.root,
                             .extensions = {{NID_basic_constraints, "CA:TRUE"},
                                            {NID_key_usage, "critical,keyCertSign"},
                                            {NID_subject_key_identifier, "hash"},
                                            {NID_authority_key_identifier, "keyid:always"}}});
    says(refusal(loose.pem() + company.root.pem(), loose.key.get()), "clients would refuse");
    EXPECT_FALSE(fs::exists(world.directory / "ca.key"));
}

TEST(CaStore, AnEncryptedKeyIsRefusedWithoutAskingForItsPassphrase) {
    World world;
    const Company company;
    company.save(world.directory);
    const BioPtr out{BIO_new(BIO_s_mem())};
    const std::string passphrase = "secret";
    PEM_write_bio_PKCS8PrivateKey(out.get(), company.intermediate.key.get(), EVP_aes_256_cbc(),
                                  passphrase.data(), 6, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    write(world.directory / "import.key", {data, static_cast<std::size_t>(size)});
    const auto text =
        text_of(world.store.import(world.directory / "chain.pem", world.directory / "import.key", true));
    EXPECT_NE(text.find("is encrypted"), std::string::npos) << text;
}

TEST(CertificateAuthority, PicksUpAnActivatedCaWithoutARestart) {
    World world;
    const auto authority = CertificateAuthority::open(world.directory.path(), {}, world.clock).value();
    const auto first = authority->fingerprint();
    EXPECT_FALSE(authority->reload().value());
    ASSERT_TRUE(world.store.rotate({}));
    EXPECT_FALSE(authority->reload().value()) << "a next CA does not sign yet";
    ASSERT_TRUE(world.store.activate());
    EXPECT_TRUE(authority->reload().value());
    EXPECT_NE(authority->fingerprint(), first);
    EXPECT_EQ(authority->generation(), 1U);
}

TEST(CertificateAuthority, GoesOnWithTheOldCaWhenTheFilesAreBad) {
    World world;
    const auto authority = CertificateAuthority::open(world.directory.path(), {}, world.clock).value();
    const auto first = authority->fingerprint();
    write(world.directory / "ca.key", "rubbish");
    EXPECT_FALSE(authority->reload());
    EXPECT_EQ(authority->fingerprint(), first);
}

TEST(CertificateAuthority, WarnsOfItsEndAndOfOtherNameConstraints) {
    World world;
    const auto authority =
        CertificateAuthority::open(world.directory.path(), {.name_constraints = {"openai.com"}}, world.clock)
            .value();
    EXPECT_TRUE(authority->warnings().empty());
    EXPECT_GT(authority->expires(), world.clock.now() + 4 * 365 * 24h);
    ASSERT_TRUE(authority->reload({.name_constraints = {"openai.com", "tavily.com"}}));
    ASSERT_EQ(authority->warnings().size(), 1U);
    EXPECT_NE(authority->warnings()[0].find("tls.nameConstraints"), std::string::npos);
    world.clock.advance((5 * 365 - 20) * 24h);
    EXPECT_EQ(authority->warnings().size(), 2U);
}

}  // namespace
}  // namespace nomiqon::tls
