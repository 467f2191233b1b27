#include "secret_source.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "config_value.h"

namespace nomiqon::config_detail {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string because(int error) {
    return std::generic_category().message(error);
}

class FileDescriptor {
  public:
    explicit FileDescriptor(int fd) : fd_(fd) {}
    ~FileDescriptor() { close(); }
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

  private:
    int fd_;
};

/// What is read of a secret; never moves, so that no part of it is left behind unwiped.
class Content {
  public:
    Content() { text_.reserve(largest_secret + 1); }
    ~Content() { wipe(text_); }
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;

    /// As read(2).
    ssize_t read_from(int fd) {
        const auto before = text_.size();
        text_.resize(largest_secret + 1);
        ssize_t got = 0;
        do {
            got = ::read(fd, text_.data() + before, text_.size() - before);
        } while (got < 0 && errno == EINTR);
        text_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        return got;
    }
    [[nodiscard]] bool too_large() const { return text_.size() > largest_secret; }
    [[nodiscard]] std::string_view text() const { return text_; }

  private:
    std::string text_;
};

std::string too_large_text() {
    return "is larger than " + std::to_string(largest_secret) + " bytes";
}

/// What stands behind the name of the file: "does not exist".
std::optional<std::string> read_regular_file(const std::filesystem::path& path, Content& content) {
    // A pipe would hold up the open without O_NONBLOCK, and can't be read again at a reload.
    FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (file.get() < 0) return errno == ENOENT ? "does not exist" : "can't be read: " + because(errno);
    struct stat about{};
    if (::fstat(file.get(), &about) != 0) return "can't be read: " + because(errno);
    if (S_ISDIR(about.st_mode)) return "is a directory, not a file";
    if (!S_ISREG(about.st_mode)) return "is not a regular file";
    while (!content.too_large()) {
        const auto got = content.read_from(file.get());
        if (got < 0) return "can't be read: " + because(errno);
        if (got == 0) return std::nullopt;
    }
    return too_large_text();
}

std::expected<Secret, std::string> secret_of_file(const std::filesystem::path& path) {
    Content content;
    if (const auto problem = read_regular_file(path, content)) {
        return std::unexpected("the secret's file " + path.string() + ' ' + *problem);
    }
    const auto text = content.text();
    Secret secret{text.substr(0, text.find_last_not_of("\r\n") + 1)};
    if (secret.empty()) return std::unexpected("the secret's file " + path.string() + " is empty");
    return secret;
}

bool is_variable_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
    return !name.empty() && letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::expected<Secret, std::string> secret_of_variable(const std::string& name) {
    if (!is_variable_name(name)) return std::unexpected("`${env:…}` must name an environment variable");
    const char* content = std::getenv(name.c_str());
    if (content == nullptr) return std::unexpected("the environment variable " + name + " is not set");
    if (*content == '\0') return std::unexpected("the environment variable " + name + " is empty");
    return Secret{content};
}

/// A shell in a process group of its own, which is killed and waited for if nobody did that before.
class Shell {
  public:
    explicit Shell(pid_t pid) : pid_(pid) {}
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;
    ~Shell() {
        if (pid_ < 0) return;
        ::kill(-pid_, SIGKILL);
        int ignored = 0;
        while (::waitpid(pid_, &ignored, 0) < 0 && errno == EINTR) {
        }
    }

    /// Its status as of waitpid(2); nothing if it is still running then. Called once its output has ended,
    /// which a shell survives by next to nothing.
    std::optional<int> wait_until(Clock::time_point deadline) {
        while (true) {
            int status = 0;
            const auto result = ::waitpid(pid_, &status, WNOHANG);
            if (result == pid_ || (result < 0 && errno != EINTR)) {
                pid_ = -1;
                return result < 0 ? -1 : status;
            }
            if (Clock::now() >= deadline) return std::nullopt;
            std::this_thread::sleep_for(milliseconds(2));
        }
    }

  private:
    pid_t pid_;
};

struct SpawnActions {
    posix_spawn_file_actions_t files{};
    posix_spawnattr_t attributes{};
    SpawnActions() {
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawnattr_init(&attributes);
    }
    ~SpawnActions() {
        ::posix_spawnattr_destroy(&attributes);
        ::posix_spawn_file_actions_destroy(&files);
    }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
};

/// Starts the shell, or says why not as an errno.
int spawn_shell(const std::string& command, const std::filesystem::path& directory, int output, pid_t& pid) {
    SpawnActions actions;
    auto* files = &actions.files;
    auto* attributes = &actions.attributes;
    // The gateway's own sockets must not live on in it.
    int error = ::posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = ::posix_spawn_file_actions_adddup2(files, output, STDOUT_FILENO);
    if (error == 0)
        error = ::posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0) error = ::posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    if (error == 0) error = ::posix_spawn_file_actions_addchdir_np(files, directory.c_str());

    // The gateway blocks and ignores signals; a command takes them as usual.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    if (error == 0) error = ::posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0) error = ::posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0) error = ::posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0) {
        error = ::posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    if (error != 0) return error;
    std::string shell = "sh";
    std::string option = "-c";
    std::string text = command;
    std::array<char*, 4> arguments{shell.data(), option.data(), text.data(), nullptr};
    return ::posix_spawn(&pid, "/bin/sh", files, attributes, arguments.data(), environ);
}

enum class ReadEnd : std::uint8_t { complete, too_large, too_late, failed };

ReadEnd read_output(int fd, Clock::time_point deadline, Content& content) {
    while (!content.too_large()) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return ReadEnd::too_late;
        pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&watched, 1, static_cast<int>(left));
        if (ready < 0 && errno != EINTR) return ReadEnd::failed;
        if (ready <= 0) continue;
        const auto got = content.read_from(fd);
        if (got < 0) return ReadEnd::failed;
        if (got == 0) return ReadEnd::complete;
    }
    return ReadEnd::too_large;
}

std::optional<std::string> problem_of_status(int status) {
    if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
    if (!WIFEXITED(status)) return "ended unclearly";
    if (WEXITSTATUS(status) == 0) return std::nullopt;
    return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::expected<Secret, std::string> secret_of_command(const std::string& command,
                                                     const std::filesystem::path& directory, Duration limit) {
    const auto failed = [](const std::string& why) { return std::unexpected("the secret's command " + why); };
    const auto deadline = Clock::now() + limit;
    const std::string too_late = "did not end within " + format_duration(limit);
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("can't be run: " + because(errno));
    const FileDescriptor output{ends[0]};
    FileDescriptor input{ends[1]};

    pid_t pid = -1;
    if (const int error = spawn_shell(command, directory, input.get(), pid); error != 0) {
        return failed("can't be run: " + because(error));
    }
    Shell shell{pid};
    input.close();  // ours, so that the output ends with the command
    Content content;
    switch (read_output(output.get(), deadline, content)) {
        case ReadEnd::complete:
            break;
        case ReadEnd::too_large:
            return failed("prints more than " + std::to_string(largest_secret) + " bytes");
        case ReadEnd::too_late:
            return failed(too_late);
        case ReadEnd::failed:
            return failed("can't be read: " + because(errno));
    }
    const auto status = shell.wait_until(deadline);
    if (!status) return failed(too_late);
    if (const auto problem = problem_of_status(*status)) return failed(*problem);
    auto text = content.text();
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.empty()) return failed("prints nothing");
    return Secret{text};
}

std::expected<SecretReference, std::string> read_reference(std::string_view text) {
    const std::string_view inside = text.substr(2);
    const bool command = inside.starts_with("cmd:");
    std::size_t open = 1;
    for (std::size_t i = 0; i < inside.size(); ++i) {
        if (command && inside[i] == '{') ++open;
        if (inside[i] != '}' || --open != 0) continue;
        const auto reference = inside.substr(0, i);
        const auto colon = reference.find(':');
        return SecretReference{
            .kind = colon == std::string_view::npos ? std::string_view{} : reference.substr(0, colon),
            .what = colon == std::string_view::npos ? std::string_view{} : reference.substr(colon + 1),
            .length = i + 3};
    }
    return std::unexpected("a `${` isn't closed by `}`");
}

std::expected<Secret, std::string> resolve(const SecretReference& reference,
                                           const std::filesystem::path& base) {
    if (reference.kind == "file") return secret_of_file(base / reference.what);
    if (reference.kind == "env") return secret_of_variable(std::string(reference.what));
    if (reference.kind == "cmd") {
        if (reference.what.find_first_not_of(" \t") == std::string_view::npos) {
            return std::unexpected("`${cmd:…}` must hold a command");
        }
        return secret_of_command(std::string(reference.what), base);
    }
    return std::unexpected("a reference is `${file:PATH}`, `${env:NAME}` or `${cmd:COMMAND}`");
}

}  // namespace nomiqon::config_detail
