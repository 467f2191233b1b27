#include <sys/stat.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>

#include "api_world.h"
#include "nomiqon/admin/admin_server.h"
#include "nomiqon/service/spend_authorizer.h"

namespace nomiqon::admin {
namespace {

using boost::asio::ip::tcp;

class ServerTest : public StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        config_.admin_listen.port = 0;
        config_.limits.admin_body_bytes = 1000;
        config_.limits.admin_connections = most_connections;
        authorizer_ = std::make_unique<service::SpendAuthorizer>(
            *store_, clock_, std::make_shared<const metering::RouteTable>(std::vector<nomiqon::Route>{}),
            service::SpendAuthorizer::Options{});
        server_ =
            std::make_unique<AdminServer>(config_, *store_, *authorizer_, clock_, AdminHooks{}, silent_log());
        server_->start();
    }
    void TearDown() override {
        server_.reset();
        authorizer_.reset();
        StoreTest::TearDown();
    }

    tcp::socket connect() {
        tcp::socket socket{io_};
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), server_->address().port});
        return socket;
    }
    /// Sends it all and reads to the end.
    std::string exchange(const std::string& text) {
        auto socket = connect();
        boost::system::error_code ignored;
        boost::asio::write(socket, boost::asio::buffer(text), ignored);
        std::string answer;
        boost::asio::read(socket, boost::asio::dynamic_buffer(answer), ignored);
        return answer;
    }

    /// Blocks until the other side closes; what it sent.
    static std::string read_all(tcp::socket& socket) {
        std::string answer;
        boost::system::error_code ignored;
        boost::asio::read(socket, boost::asio::dynamic_buffer(answer), ignored);
        return answer;
    }

    static constexpr std::size_t most_connections = 8;
    static constexpr const char* healthz = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    boost::asio::io_context io_;
    std::unique_ptr<service::SpendAuthorizer> authorizer_;
    std::unique_ptr<AdminServer> server_;
};

TEST_F(ServerTest, KeepsAConnectionAndAnswersInOrder) {
    const auto answer = exchange(
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/agents HTTP/1.1\r\nHost: x\r\nConnection: "
        "close\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    EXPECT_NE(answer.find("HTTP/1.1 401"), std::string::npos);
    EXPECT_EQ(answer.find("Access-Control"), std::string::npos);
}

TEST_F(ServerTest, RefusesWhatIsNoRequest) {
    EXPECT_TRUE(exchange("rubbish\r\n\r\n").starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(exchange("GET /healthz HTTP/1.1\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n")
                    .starts_with("HTTP/1.1 431"));
    EXPECT_TRUE(exchange("POST /v1/agents HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'a'))
                    .starts_with("HTTP/1.1 413"));
    EXPECT_TRUE(exchange("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200"))
        << "serves on";
}

TEST_F(ServerTest, IdleConnectionsLockNobodyOut) {
    std::vector<tcp::socket> silent;
    for (std::size_t i = 0; i < 3 * most_connections; ++i) {
        silent.push_back(connect());
        // Every second one is in the middle of a request that never ends.
        if (i % 2 == 0) boost::asio::write(silent.back(), boost::asio::buffer("GET /v1/ag", 10));
    }
    const auto began = std::chrono::steady_clock::now();
    EXPECT_TRUE(exchange(healthz).starts_with("HTTP/1.1 200"));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{1});
    EXPECT_EQ(read_all(silent.front()), "") << "the longest idle one made room";
}

TEST_F(ServerTest, AStrangersPlaceGoesBeforeAKeyHolders) {
    const auto key = new_api_key();
    value("insert into nomiqon.api_keys (key_id, name, key_hash, scopes, created_by) values ('" +
          ApiKeyId::generate().str() + "', 'test', '" + sha256_hex(key) + "', '{full}', 'test')");
    const auto request = "GET /v1/agents HTTP/1.1\r\nAuthorization: Bearer " + key + "\r\n\r\n";
    auto holder = connect();
    boost::asio::write(holder, boost::asio::buffer(request));
    std::string first(12, ' ');
    boost::asio::read(holder, boost::asio::buffer(first));
    ASSERT_EQ(first, "HTTP/1.1 200");
    std::vector<tcp::socket> silent;
    for (std::size_t i = 0; i < 2 * most_connections; ++i)
        silent.push_back(connect());
    EXPECT_TRUE(exchange(healthz).starts_with("HTTP/1.1 200"));
    boost::asio::write(holder, boost::asio::buffer(std::string{healthz}));
    EXPECT_NE(read_all(holder).find("HTTP/1.1 200"), std::string::npos) << "still served";
}

TEST_F(ServerTest, WhereAllAreBeingAnsweredANewOneIsToldSo) {
    // The table is locked, so that every key's look-up waits.
    auto lock = std::async(std::launch::async, [this] {
        value("begin; lock table nomiqon.api_keys in access exclusive mode; select pg_sleep(1.5); commit");
    });
    std::this_thread::sleep_for(std::chrono::milliseconds{300});
    std::vector<tcp::socket> waiting;
    const auto request =
        "GET /v1/agents HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer " + new_api_key() + "\r\n\r\n";
    for (std::size_t i = 0; i < most_connections; ++i) {
        waiting.push_back(connect());
        boost::asio::write(waiting.back(), boost::asio::buffer(request));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    const auto answer = exchange(healthz);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
    EXPECT_NE(answer.find("\"unavailable\""), std::string::npos);
    EXPECT_NE(answer.find("Retry-After: 1"), std::string::npos);
    lock.get();
    for (auto& one : waiting)
        EXPECT_TRUE(read_all(one).starts_with("HTTP/1.1 401"));
    EXPECT_TRUE(exchange(healthz).starts_with("HTTP/1.1 200"));
}

TEST_F(ServerTest, AConnectionThatAsksForNothingIsClosedSoon) {
    auto silent = connect();
    auto kept = connect();
    boost::asio::write(kept, boost::asio::buffer(std::string{"GET /healthz HTTP/1.1\r\n\r\n"}));
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(read_all(silent), "");
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds{4500});
    boost::asio::write(kept, boost::asio::buffer(std::string{healthz}));
    const auto answers = read_all(kept);
    EXPECT_NE(answers.find("HTTP/1.1 200", 1), std::string::npos) << "one that has asked may be idle longer";
}

TEST_F(ServerTest, AnAnswerToHeadHasNoBody) {
    const auto head = [&](const std::string& path) {
        return exchange("HEAD " + path + " HTTP/1.1\r\nConnection: close\r\n\r\n");
    };
    const auto health = head("/healthz");
    EXPECT_TRUE(health.starts_with("HTTP/1.1 200")) << health;
    EXPECT_NE(health.find("Content-Length: 3\r\n"), std::string::npos) << "GET's";
    for (const std::string path :
         {"/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/agents", "/none"}) {
        const auto answer = head(path);
        EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
        EXPECT_EQ(answer.find("\r\n\r\n"), answer.size() - 4) << answer;
    }
    const auto both = exchange(std::string{"HEAD /metrics HTTP/1.1\r\n\r\n"} + healthz);
    EXPECT_NE(both.find("\r\n\r\nHTTP/1.1 200"), std::string::npos) << "the next answer follows at once";
}

TEST_F(ServerTest, StopsWithAConnectionOpen) {
    auto idle = connect();
    exchange("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    const auto began = std::chrono::steady_clock::now();
    server_.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{2});
}

TEST_F(ServerTest, SaysWhenItsAddressIsTaken) {
    config_.admin_listen.port = server_->address().port;
    EXPECT_THROW((AdminServer{config_, *store_, *authorizer_, clock_, AdminHooks{}, silent_log()}),
                 std::system_error);
}

class FirstKeyTest : public StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        config_.data_dir = directory_.path();
    }
    [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "admin.key"; }
    [[nodiscard]] std::string key() const {
        std::ifstream file{path()};
        std::string line;
        std::getline(file, line);
        return line;
    }
    std::string keys() { return value("select count(*) from nomiqon.api_keys where revoked_at is null"); }
    test::TemporaryDirectory directory_;
};

TEST_F(FirstKeyTest, IsMadeOnceForItsOwnerAlone) {
    ASSERT_TRUE(ensure_first_api_key(config_, *store_));
    struct stat status{};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const auto first = key();
    EXPECT_TRUE(is_api_key(first));
    EXPECT_EQ(value("select key_hash from nomiqon.api_keys"), sha256_hex(first));
    ASSERT_TRUE(ensure_first_api_key(config_, *store_));
    EXPECT_EQ(key(), first);
    EXPECT_EQ(keys(), "1");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator{directory_.path()}, {}), 1)
        << "nothing else left";
}

TEST_F(FirstKeyTest, AFilesKeyIsRegisteredInAFreshDatabase) {
    const auto kept = new_api_key();
    std::ofstream{path()} << kept << '\n';
    ::chmod(path().c_str(), 0600);
    ASSERT_TRUE(ensure_first_api_key(config_, *store_));
    EXPECT_EQ(key(), kept);
    EXPECT_EQ(value("select key_hash from nomiqon.api_keys"), sha256_hex(kept));
}

TEST_F(FirstKeyTest, ASecondGatewayOfTheDatabaseMakesNone) {
    ASSERT_TRUE(ensure_first_api_key(config_, *store_));
    test::TemporaryDirectory other;
    config_.data_dir = other.path();
    ASSERT_TRUE(ensure_first_api_key(config_, *store_));
    EXPECT_FALSE(std::filesystem::exists(other.path() / "admin.key"));
    EXPECT_EQ(keys(), "1");
}

TEST_F(FirstKeyTest, ABadFileIsSaidAndKept) {
    std::ofstream{path()} << "nonsense\n";
    ::chmod(path().c_str(), 0600);
    const auto answer = ensure_first_api_key(config_, *store_);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().find("nonsense"), std::string::npos) << "it may be a secret";
    EXPECT_EQ(key(), "nonsense");
    EXPECT_EQ(keys(), "0");
}

}  // namespace
}  // namespace nomiqon::admin
