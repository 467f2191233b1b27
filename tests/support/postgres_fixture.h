#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "nomiqon/ledger/embedded_postgres.h"

// A real PostgreSQL for the tests of any module: started once an executable, on first use, in a temporary
// directory, and gone with the executable.
namespace nomiqon::test {

/// One statement on its own connection; the first value of its answer. Throws PostgreSQL's message.
inline std::string query_value(const std::string& url, const std::string& statement) {
    const std::unique_ptr<PGconn, void (*)(PGconn*)> connection{PQconnectdb(url.c_str()), PQfinish};
    PQsetNoticeReceiver(connection.get(), [](void*, const PGresult*) {}, nullptr);
    if (PQstatus(connection.get()) != CONNECTION_OK)
        throw std::runtime_error(PQerrorMessage(connection.get()));
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result{PQexec(connection.get(), statement.c_str()),
                                                                PQclear};
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        throw std::runtime_error(PQresultErrorMessage(result.get()));
    }
    if (status == PGRES_COMMAND_OK || PQntuples(result.get()) == 0) return "";
    return PQgetvalue(result.get(), 0, 0);
}

/// A directory of its own, 0700, removed at the end.
class TemporaryDirectory {
  public:
    explicit TemporaryDirectory(const std::string& prefix = "nomiqon-test-") {
        std::string path = (std::filesystem::temp_directory_path() / prefix).string() + "XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory: " + path);
        path_ = path;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

/// The executable's server. Thread-safe.
class PrivatePostgres {
  public:
    static PrivatePostgres& instance() {
        static PrivatePostgres server;
        return server;
    }

    /// A new, empty database; the owner's connection string.
    std::string create_database() {
        const std::string name = fmt::format("test_{}_{}", ::getpid(), ++databases_);
        run("CREATE DATABASE " + name);
        return postgres_->conninfo("nomiqon_owner", name);
    }

    /// The same database, as another role of the server.
    [[nodiscard]] static std::string as_user(const std::string& url, const std::string& user) {
        return url + " user='" + user + "'";
    }

    EmbeddedPostgres& server() { return *postgres_; }

  private:
    static constexpr const char* prefix = "nomiqon-test-postgres-";

    PrivatePostgres() {
        sweep();
        directory_.emplace(prefix);
        auto started = EmbeddedPostgres::start({.data_dir = directory_->path(), .sync_to_disk = false});
        if (!started) throw std::runtime_error("no PostgreSQL for the tests: " + started.error());
        postgres_ = *std::move(started);
    }

    /// What executables left that were killed: their server and their directory.
    static void sweep() {
        std::error_code ignored;
        for (const auto& entry :
             std::filesystem::directory_iterator(std::filesystem::temp_directory_path(), ignored)) {
            if (!entry.path().filename().string().starts_with(prefix)) continue;
            // One that is being made at this moment has no lock yet.
            const auto age = std::filesystem::file_time_type::clock::now() - entry.last_write_time(ignored);
            if (ignored || age < std::chrono::minutes(10)) continue;
            if (EmbeddedPostgres::stop_orphan(entry.path()))
                std::filesystem::remove_all(entry.path(), ignored);
        }
    }

    void run(const std::string& statement) {
        query_value(postgres_->conninfo("nomiqon_owner", "postgres"), statement);
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<EmbeddedPostgres> postgres_;
    std::atomic<int> databases_{0};
};

/// A test with a fresh database of its own.
class DatabaseTest : public ::testing::Test {
  protected:
    void SetUp() override { owner_url_ = PrivatePostgres::instance().create_database(); }
    [[nodiscard]] const std::string& owner_url() const { return owner_url_; }
    [[nodiscard]] std::string url_of(const std::string& user) const {
        return PrivatePostgres::as_user(owner_url_, user);
    }
    std::string value(const std::string& statement) const { return query_value(owner_url_, statement); }

  private:
    std::string owner_url_;
};

}  // namespace nomiqon::test
