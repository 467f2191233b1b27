#include "nomiqon/ledger/embedded_postgres.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "nomiqon/ledger/data_dir_lock.h"
#include "support/postgres_fixture.h"

namespace nomiqon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::query_value;
using test::TemporaryDirectory;

/// One initdb for all tests here: each works on a copy.
void copy_of_a_stopped_database(const fs::path& to) {
    static const TemporaryDirectory original;
    static const bool made = [] {
        const auto started = EmbeddedPostgres::start({.data_dir = original.path(), .sync_to_disk = false});
        return started.has_value();
    }();
    ASSERT_TRUE(made);
    const std::string command = "cp -a \"" + original.path().string() + "/.\" \"" + to.string() + "\"";
    ASSERT_EQ(std::system(command.c_str()), 0);
}

class EmbeddedPostgresTest : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_NO_FATAL_FAILURE(copy_of_a_stopped_database(dir_.path())); }
    std::unique_ptr<EmbeddedPostgres> start(const fs::path& dir) {
        auto started = EmbeddedPostgres::start({.data_dir = dir, .sync_to_disk = false});
        EXPECT_TRUE(started) << started.error();
        return started ? *std::move(started) : nullptr;
    }
    std::unique_ptr<EmbeddedPostgres> start() { return start(dir_.path()); }
    static std::string error_of(const fs::path& dir) {
        const auto started = EmbeddedPostgres::start({.data_dir = dir});
        return started ? "" : started.error();
    }
    TemporaryDirectory dir_;
};

bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

bool alive(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

uid_t owner_of(const fs::path& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_uid : static_cast<uid_t>(-1);
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

/// This test program again, running one test that waits to be killed.
pid_t run_helper(const std::string& filter, const fs::path& dir) {
    const std::string argument = "--gtest_filter=" + filter;
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::setenv("NOMIQON_TEST_DATA_DIR", dir.c_str(), 1);
    ::execl("/proc/self/exe", "ledger_test", argument.c_str(), "--gtest_also_run_disabled_tests", nullptr);
    ::_exit(127);
}

TEST(EmbeddedPostgresHelper, DISABLED_RunsUntilKilled) {
    const fs::path dir = std::getenv("NOMIQON_TEST_DATA_DIR");
    const auto started = EmbeddedPostgres::start({.data_dir = dir});
    ASSERT_TRUE(started) << started.error();
    std::ofstream(dir / "helper.tmp") << (*started)->pid() << '\n';
    fs::rename(dir / "helper.tmp", dir / "helper");
    std::this_thread::sleep_for(60s);
}

TEST(EmbeddedPostgresFirstStart, MakesADatabaseThatOnlyItsOwnerReaches) {
    const TemporaryDirectory dir;
    fs::create_directory(dir.path() / "postgres.init-killed");  // an initdb that a crash cut short
    std::ofstream(dir.path() / "postgres.init-killed" / "PG_VERSION") << "15\n";
    const fs::path data = dir.path() / "data";
    fs::create_directory(data);
    fs::rename(dir.path() / "postgres.init-killed", data / "postgres.init-killed");
    auto started = EmbeddedPostgres::start({.data_dir = data});
    ASSERT_TRUE(started) << started.error();
    const std::string url = (*started)->owner_url();
    EXPECT_EQ(query_value(url, "SELECT current_user || '@' || current_database()"), "nomiqon_owner@nomiqon");
    EXPECT_EQ(query_value(url, "SHOW listen_addresses"), "");
    EXPECT_EQ(query_value(url, "SHOW data_checksums"), "on");
    EXPECT_EQ(query_value(url, "SHOW fsync"), "on");
    EXPECT_EQ(query_value(url, "SHOW server_encoding"), "UTF8");
    EXPECT_EQ(query_value(url, "SHOW max_connections"), "64");
    EXPECT_FALSE(fs::exists(data / "postgres.init-killed"));
    EXPECT_EQ(fs::status(data / "postgres").permissions(), fs::perms::owner_all);
    const uid_t server = owner_of(fs::path("/proc") / std::to_string((*started)->pid()));
    EXPECT_NE(server, 0U);
    EXPECT_EQ(server, owner_of(data / "postgres"));
    if (::geteuid() != 0) EXPECT_EQ(server, ::geteuid());
}

TEST_F(EmbeddedPostgresTest, KeepsItsDataOverARestartAndLeavesNothingOpen) {
    auto first = start();
    ASSERT_TRUE(first);
    query_value(first->owner_url(), "CREATE TABLE kept AS SELECT 42 AS x");
    const pid_t pid = first->pid();
    first->stop();
    first->stop();
    EXPECT_EQ(first->pid(), 0);
    EXPECT_FALSE(alive(pid));
    first.reset();
    const std::size_t before = open_descriptors();
    const auto begin = std::chrono::steady_clock::now();
    auto second = start();
    ASSERT_TRUE(second);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    EXPECT_EQ(query_value(second->owner_url(), "SELECT x FROM kept"), "42");
    second.reset();
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie is left";
}

TEST_F(EmbeddedPostgresTest, TwoOnOneDirectoryAreRefused) {
    const auto first = start();
    ASSERT_TRUE(first);
    EXPECT_NE(error_of(dir_.path()).find("is in use by another process"), std::string::npos);
    EXPECT_EQ(query_value(first->owner_url(), "SELECT 1"), "1");
}

TEST_F(EmbeddedPostgresTest, ComesBackAfterItsPostmasterIsKilled) {
    const auto server = start();
    ASSERT_TRUE(server);
    query_value(server->owner_url(), "CREATE TABLE kept AS SELECT 42 AS x");
    const pid_t killed = server->pid();
    // A busy session outlives its postmaster for a while, and keeps the shared memory.
    std::thread busy([url = server->owner_url()] {
        try {
            query_value(url, "SELECT count(*) FROM generate_series(1, 1000000000)");
        } catch (const std::exception&) {  // its end is not what is tested
        }
    });
    std::this_thread::sleep_for(200ms);
    ::kill(killed, SIGKILL);
    ASSERT_TRUE(eventually([&] { return server->pid() != 0 && server->pid() != killed; }));
    EXPECT_EQ(query_value(server->owner_url(), "SELECT x FROM kept"), "42");
    busy.join();
}

TEST_F(EmbeddedPostgresTest, AStopDuringARestartIsQuick) {
    const auto server = start();
    ASSERT_TRUE(server);
    ::kill(server->pid(), SIGKILL);
    ASSERT_TRUE(eventually([&] { return server->pid() == 0; }));
    std::thread other([&] { server->stop(); });
    server->stop();
    other.join();
    EXPECT_EQ(server->pid(), 0);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(EmbeddedPostgresTest, AKilledGatewaysServerIsStoppedAndItsDataKept) {
    const pid_t gateway = run_helper("EmbeddedPostgresHelper.DISABLED_RunsUntilKilled", dir_.path());
    ASSERT_TRUE(eventually([&] { return fs::exists(dir_.path() / "helper"); }));
    pid_t orphan = 0;
    std::ifstream(dir_.path() / "helper") >> orphan;
    ASSERT_GT(orphan, 0);
    EXPECT_NE(error_of(dir_.path()), "");
    ::kill(gateway, SIGKILL);
    ::waitpid(gateway, nullptr, 0);
    EXPECT_TRUE(alive(orphan)) << "the database must not die with the gateway";
    const auto server = start();
    ASSERT_TRUE(server);
    EXPECT_NE(server->pid(), orphan);
    std::ifstream log(dir_.path() / "postgres.log");
    const std::string text{std::istreambuf_iterator<char>(log), {}};
    EXPECT_EQ(text.find("not properly shut down"), std::string::npos) << text;
    EXPECT_EQ(query_value(server->owner_url(), "SELECT 1"), "1");
}

TEST_F(EmbeddedPostgresTest, AStrangerWithTheOldProcessIdIsLeftAlone) {
    // It has the server's user, so PostgreSQL by itself would take it for a running server.
    const pid_t stranger = ::fork();
    if (stranger == 0) {
        if (::geteuid() == 0 && ::setuid(owner_of(dir_.path() / "postgres")) != 0) ::_exit(1);
        ::execl("/bin/sleep", "sleep", "60", nullptr);
        ::_exit(127);
    }
    for (const char* name : {"postmaster.pid", ".s.PGSQL.5432.lock"}) {
        std::ofstream(dir_.path() / "postgres" / name)
            << stranger << "\n/elsewhere\n1795506343\n5432\n.\n\n  9977945         9\nready   \n";
    }
    const auto server = start();
    EXPECT_TRUE(server);
    EXPECT_TRUE(alive(stranger));
    ::kill(stranger, SIGKILL);
    ::waitpid(stranger, nullptr, 0);
}

TEST_F(EmbeddedPostgresTest, ALongDirectoryGetsAShortSocket) {
    const fs::path dir = dir_.path() / std::string(120, 'a') / "it's, long";
    fs::create_directories(dir);
    copy_of_a_stopped_database(dir);
    auto server = start(dir);
    ASSERT_TRUE(server);
    const fs::path socket = server->socket_directory();
    EXPECT_LT(socket.string().size(), 93U);
    EXPECT_EQ(fs::status(socket.parent_path()).permissions(), fs::perms::owner_all);
    EXPECT_EQ(query_value(server->owner_url(), "SELECT 1"), "1");
    server->stop();
    EXPECT_FALSE(fs::exists(fs::symlink_status(socket)));
    EXPECT_FALSE(fs::exists(socket.parent_path()));
}

TEST_F(EmbeddedPostgresTest, AnEnvironmentOfPostgresVariablesChangesNothing) {
    ::setenv("PGPORT", "1", 1);
    ::setenv("PGDATA", "/nowhere", 1);
    const auto server = start();
    ASSERT_TRUE(server);
    EXPECT_EQ(query_value(server->owner_url(), "SHOW port"), "5432");
    ::unsetenv("PGPORT");
    ::unsetenv("PGDATA");
}

TEST_F(EmbeddedPostgresTest, TheServerHoldsNoDescriptorOfTheGateways) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);  // without SOCK_CLOEXEC, as libraries do
    const std::string inode = fs::read_symlink("/proc/self/fd/" + std::to_string(listener)).string();
    const auto server = start();
    ASSERT_TRUE(server);
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(server->pid()) + "/fd")) {
        std::error_code ignored;
        EXPECT_NE(fs::read_symlink(entry.path(), ignored).string(), inode);
    }
    EXPECT_EQ(::getsid(server->pid()), server->pid());
    ::close(listener);
}

TEST_F(EmbeddedPostgresTest, WhatCannotWorkIsSaidClearly) {
    const auto says = [](const std::string& error, std::string_view part) {
        EXPECT_NE(error.find(part), std::string::npos) << error;
    };
    std::ofstream(dir_.path() / "file") << "x";
    says(error_of(dir_.path() / "file"), "is not a directory");
    says(error_of("/proc/nomiqon"), "can't be created");

    const fs::path strange = dir_.path() / "strange";
    fs::create_directories(strange / "postgres");
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown((strange / "postgres").c_str(), owner_of(dir_.path() / "postgres"), 0), 0);
    }
    std::ofstream(strange / "postgres" / "diary") << "x";
    says(error_of(strange), "neither empty nor readable as a PostgreSQL data directory");

    fs::create_directory(dir_.path() / "empty");
    ::setenv("NOMIQON_POSTGRES_BIN", (dir_.path() / "empty").c_str(), 1);
    says(error_of(dir_.path()), "NOMIQON_POSTGRES_BIN");
    ::unsetenv("NOMIQON_POSTGRES_BIN");

    std::ofstream(dir_.path() / "postgres" / "PG_VERSION") << "9\n";
    says(error_of(dir_.path()), "made by PostgreSQL 9, which is not installed");
}

TEST_F(EmbeddedPostgresTest, AFailingInitdbOrServerIsQuotedAndLeavesNoTrace) {
    const fs::path bin = dir_.path() / "bin";
    fs::create_directory(bin);
    const auto script =
        [&](const char* name, const char* body) {
            std::ofstream(bin / name)
                << "#!/bin/sh\n[ \"$1\" = -V ] && echo 'postgres (PostgreSQL) 15.0' && exit\n"
                << body;
            fs::permissions(bin / name, fs::perms::all);
        };
    fs::permissions(dir_.path(), fs::perms::owner_all | fs::perms::others_exec | fs::perms::group_exec);
    script("initdb", "echo 'initdb: error: No space left on device' >&2; exit 1\n");
    script("postgres", "echo 'FATAL:  out of luck' >&2; exit 3\n");
    ::setenv("NOMIQON_POSTGRES_BIN", bin.c_str(), 1);
    const TemporaryDirectory fresh;
    const std::string no_space = error_of(fresh.path());
    EXPECT_NE(no_space.find("No space left on device"), std::string::npos) << no_space;
    EXPECT_FALSE(fs::exists(fresh.path() / "postgres"));
    const std::string no_server = error_of(dir_.path());
    EXPECT_NE(no_server.find("exited with status 3 while it started: FATAL:  out of luck"), std::string::npos)
        << no_server;
    script("postgres", "exec sleep 60\n");
    const auto slow = EmbeddedPostgres::start({.data_dir = dir_.path(), .start_timeout = Duration{300}});
    ASSERT_FALSE(slow);
    EXPECT_NE(slow.error().find("was not ready within"), std::string::npos) << slow.error();
    ::unsetenv("NOMIQON_POSTGRES_BIN");
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(EmbeddedPostgresTest, TheLogHasALimit) {
    std::ofstream(dir_.path() / "postgres.log") << std::string(5000, 'x');
    auto started = EmbeddedPostgres::start({.data_dir = dir_.path(), .log_bytes = 4000});
    ASSERT_TRUE(started) << started.error();
    EXPECT_LT(fs::file_size(dir_.path() / "postgres.log"), 4000U);
    EXPECT_EQ(fs::file_size(dir_.path() / "postgres.log.1"), 5000U);
}

TEST(DataDirLock, IsHeldByOneAndNamesTheHolder) {
    const TemporaryDirectory dir;
    {
        const auto lock = DataDirLock::acquire(dir.path() / "new");
        ASSERT_TRUE(lock) << lock.error();
        EXPECT_EQ(fs::status(dir.path() / "new").permissions(), fs::perms::owner_all);
        const auto refused = DataDirLock::acquire(dir.path() / "new");
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().find("pid " + std::to_string(::getpid())), std::string::npos)
            << refused.error();
    }
    EXPECT_TRUE(DataDirLock::acquire(dir.path() / "new"));
}

}  // namespace
}  // namespace nomiqon
