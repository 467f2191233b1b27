#include "secret_source.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "core/config_fixture.h"

namespace nomiqon::config_detail {
namespace {

class SecretCommand : public testing::Test {
  protected:
    std::string printed(const std::string& command, Duration limit = longest_secret_command) {
        const auto secret = secret_of_command(command, directory_.path(), limit);
        return secret ? std::string(secret->reveal()) : "! " + secret.error();
    }
    Directory directory_;
};

TEST_F(SecretCommand, GivesWhatItPrintsLessOneLineBreak) {
    EXPECT_EQ(printed("echo sk-1"), "sk-1");
    EXPECT_EQ(printed("printf 'a\\n\\n'"), "a\n");
    EXPECT_EQ(printed("printf sk-1"), "sk-1");
    EXPECT_EQ(printed("printf a; sleep 0.05; printf b"), "ab");
}

TEST_F(SecretCommand, RunsInTheConfigurationsDirectoryWithoutInput) {
    directory_.write("key", "sk-2\n");
    EXPECT_EQ(printed("cat key; cat"), "sk-2");
}

TEST_F(SecretCommand, ThatFailsIsAProblemWithoutItsWords) {
    EXPECT_EQ(printed("echo sk-3; echo sk-4 >&2; exit 3"), "! the secret's command ended with status 3");
    EXPECT_EQ(printed("kill -9 $$"), "! the secret's command was ended by signal 9");
    EXPECT_EQ(printed("no-such-program-at-all sk-5"), "! the secret's command ended with status 127");
    EXPECT_EQ(printed("true"), "! the secret's command prints nothing");
    EXPECT_EQ(printed("echo"), "! the secret's command prints nothing");
    const auto missing = secret_of_command("echo x", directory_.path() / "none");
    ASSERT_FALSE(missing);
    EXPECT_SAYS(missing.error(), "can't be run");
}

TEST_F(SecretCommand, ThatPrintsTooMuchIsCut) {
    EXPECT_SAYS(printed("yes"), "more than 65536 bytes");
    EXPECT_EQ(printed("head -c 65536 /dev/zero | tr '\\0' x").size(), 65536U);
}

TEST_F(SecretCommand, HasLimitedTimeWithAllThatItStarted) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(printed("sleep 60 & echo $! > pid; sleep 60", Duration(300)),
              "! the secret's command did not end within 300ms");
    EXPECT_EQ(printed("exec >&-; sleep 60", Duration(300)), "! the secret's command did not end within 300ms")
        << "closing the output is no end";
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    const auto pid = static_cast<pid_t>(std::stol(content_of(directory_.path() / "pid")));
    // Its new parent may take a moment to collect it.
    for (int i = 0; i < 200 && ::kill(pid, 0) == 0 &&
                    content_of("/proc/" + std::to_string(pid) + "/stat").find(") Z") == std::string::npos;
         ++i)
        ::usleep(10'000);
    const auto stat = content_of("/proc/" + std::to_string(pid) + "/stat");
    EXPECT_TRUE(stat.empty() || stat.find(") Z") != std::string::npos) << stat;
}

TEST_F(SecretCommand, InheritsNoFileOfTheGateways) {
    std::array<int, 2> sockets{-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);  // without CLOEXEC
    const auto files = printed("for f in /proc/self/fd/*; do readlink $f; done");
    EXPECT_EQ(files.find("socket:"), std::string::npos) << files;
    ::close(sockets[0]);
    ::close(sockets[1]);
}

TEST_F(SecretCommand, TakesSignalsThatTheGatewayBlocksOrIgnores) {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    EXPECT_SAYS(printed("kill -TERM $$; echo survived"), "signal 15");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(SecretReference, EndsAtItsBrace) {
    const auto read = [](std::string_view text) {
        const auto reference = read_reference(text);
        if (!reference) return "! " + reference.error();
        return std::string(reference->kind) + '|' + std::string(reference->what) + '|' +
               std::string(text.substr(reference->length));
    };
    EXPECT_EQ(read("${file:a} b"), "file|a| b");
    EXPECT_EQ(read("${file:a{b}}"), "file|a{b|}");
    EXPECT_EQ(read("${cmd:awk '{print $1}' ${HOME}/k}} b"), "cmd|awk '{print $1}' ${HOME}/k|} b");
    EXPECT_EQ(read("${x}"), "||");
    EXPECT_EQ(read("${cmd:a{b}"), "! a `${` isn't closed by `}`");
    EXPECT_EQ(read("${env:X"), "! a `${` isn't closed by `}`");
}

}  // namespace
}  // namespace nomiqon::config_detail
