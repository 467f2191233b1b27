#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nomiqon/core/time.h"

// Processes of the private PostgreSQL: children of ours, and servers that an earlier gateway left behind.
namespace nomiqon::embedded {

using Deadline = std::chrono::steady_clock::time_point;
[[nodiscard]] inline Deadline after(Duration limit) {
    return std::chrono::steady_clock::now() + limit;
}

[[nodiscard]] std::string because(int error);  ///< errno in words

class FileDescriptor {
  public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    ~FileDescriptor();
    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

/// Whom PostgreSQL runs as. `drop`: we are root, which PostgreSQL refuses to run as.
struct ServerUser {
    uid_t uid = 0;
    gid_t gid = 0;
    bool drop = false;
};

/// In the child the directory is descriptor 3, so that its path is `directory_path` whatever lies above it:
/// the kernel's link needs no right to walk there, which user `postgres` lacks below a 0700 directory of
/// root's.
struct Command {
    std::filesystem::path program;
    std::vector<std::string> arguments;  ///< without the program's name
    int directory = -1;                  ///< or -1
    int output = -1;                     ///< standard output and error
    ServerUser user;
    bool dies_with_parent = false;
};
inline constexpr const char* directory_path = "/proc/self/fd/3";

enum class Wait { exited, woken, timeout };

/// A child in a session of its own (the terminal's Ctrl-C is not for it) with clean signals, a minimal
/// environment and no descriptor but its own. Not thread-safe; it is reaped by `wait` only.
class Child {
  public:
    [[nodiscard]] static std::expected<Child, std::string> spawn(const Command& command);

    /// Until the child ends, `wake` becomes readable, or the deadline.
    Wait wait(Deadline deadline, int wake = -1);
    void signal(int number) const;
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] bool succeeded() const { return status_ == 0; }
    [[nodiscard]] std::string ending() const;  ///< "exited with status 1", "was killed by signal 9"

  private:
    explicit Child(pid_t pid);
    bool reap();
    pid_t pid_ = -1;
    FileDescriptor pidfd_;
    std::optional<int> status_;
};

/// The first line of `postmaster.pid` in that directory, and whether its last one says that connections are
/// taken.
struct PostmasterFile {
    pid_t pid = 0;
    bool ready = false;
};
[[nodiscard]] std::optional<PostmasterFile> read_postmaster_file(int directory);

/// Ends whatever PostgreSQL process works in this directory: the postmaster that `postmaster.pid` names by a
/// fast shutdown, processes without a postmaster at once, so that no shared memory keeps the next start out.
/// A process counts only if its program is postgres and it works in this very directory, so a stranger with a
/// reused process id is neither harmed nor in the way. True: there was a postmaster. The caller holds the
/// lock.
[[nodiscard]] std::expected<bool, std::string> stop_leftovers(int directory, Duration limit);

}  // namespace nomiqon::embedded
