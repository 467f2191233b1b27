// PostgreSQL's `postmaster.pid` (src/include/utils/pidfile.h): process id, data directory, start time, port,
// socket directory, listen address, shared memory key, status ("starting", "ready   ", …), a line each.

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <span>
#include <string_view>

#include "embedded_postgres_process.h"

namespace nomiqon::embedded {

namespace {

using namespace std::chrono_literals;

bool same_directory(const std::string& path, const struct stat& directory) {
    struct stat found{};
    return ::stat(path.c_str(), &found) == 0 && found.st_dev == directory.st_dev &&
           found.st_ino == directory.st_ino;
}

/// Whether the process is a PostgreSQL of this directory, by what the kernel says about it. Before postgres
/// has changed into its data directory the descriptor that we start it with tells. False for a zombie.
bool serves(pid_t pid, const struct stat& directory) {
    const std::string proc = fmt::format("/proc/{}/", pid);
    char target[4096];
    const ssize_t size = ::readlink((proc + "exe").c_str(), target, sizeof target);
    if (size <= 0) return false;
    std::string_view program{target, static_cast<std::size_t>(size)};
    program.remove_prefix(program.rfind('/') + 1);
    // An upgraded package leaves "postgres (deleted)".
    if (program != "postgres" && program != "postgres (deleted)") return false;
    struct stat process{};
    if (::stat(proc.c_str(), &process) != 0 || process.st_uid != directory.st_uid) return false;
    return same_directory(proc + "cwd", directory) || same_directory(proc + "fd/3", directory);
}

struct Step {
    int signal;
    Duration limit;
};

/// The pidfd is opened before the identity is checked, so the signal can't meet a later process of the same
/// number.
bool end_process(pid_t pid, const struct stat& directory, std::span<const Step> steps) {
    const FileDescriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    for (const Step& step : steps) {
        if (!serves(pid, directory)) return true;
        if (pidfd) {
            ::syscall(SYS_pidfd_send_signal, pidfd.get(), step.signal, nullptr, 0);
        } else {
            ::kill(pid, step.signal);
        }
        const Deadline deadline = after(step.limit);
        while (serves(pid, directory) && std::chrono::steady_clock::now() < deadline) {
            pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
            ::poll(&ended, 1, 50);
        }
    }
    return !serves(pid, directory);
}

std::optional<pid_t> parse_pid(std::string_view text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || end != text.data() + text.size() || pid <= 0) return std::nullopt;
    return pid;
}

std::vector<pid_t> processes_of(const struct stat& directory) {
    std::vector<pid_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
    if (!proc) return found;
    while (const dirent* entry = ::readdir(proc.get())) {
        const auto pid = parse_pid(entry->d_name);
        if (pid && serves(*pid, directory)) found.push_back(*pid);
    }
    return found;
}

std::string read_small_file(int directory, const char* name) {
    const FileDescriptor file{::openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    char text[4096];
    const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
    return std::string{text, size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace

std::optional<PostmasterFile> read_postmaster_file(int directory) {
    const std::string text = read_small_file(directory, "postmaster.pid");
    std::string_view rest = text;
    PostmasterFile file;
    for (int line = 1; line <= 8 && !rest.empty(); ++line) {
        const std::size_t end = rest.find('\n');
        const std::string_view value = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        // A server in single-user mode writes its number with a minus.
        if (line == 1) file.pid = parse_pid(value.starts_with('-') ? value.substr(1) : value).value_or(0);
        if (line == 8) file.ready = value.starts_with("ready");
    }
    if (file.pid == 0) return std::nullopt;
    return file;
}

std::expected<bool, std::string> stop_leftovers(int directory, Duration limit) {
    struct stat info{};
    if (::fstat(directory, &info) != 0)
        return std::unexpected("can't read the database directory: " + because(errno));
    const auto file = read_postmaster_file(directory);
    const bool orphan = file && serves(file->pid, info);
    if (orphan) {
        const Step gently[] = {{SIGINT, limit}, {SIGQUIT, 10s}, {SIGKILL, 5s}};
        if (!end_process(file->pid, info, gently)) {
            return std::unexpected(
                fmt::format("the PostgreSQL that an earlier gateway left (pid {}) does not stop", file->pid));
        }
    }
    // Without a postmaster these can do nothing useful; crash recovery follows in any case.
    const Step at_once[] = {{SIGQUIT, 2s}, {SIGKILL, 5s}};
    for (const pid_t pid : processes_of(info)) {
        if (!end_process(pid, info, at_once)) {
            return std::unexpected(
                fmt::format("a PostgreSQL process of an earlier run (pid {}) does not end", pid));
        }
    }
    // Nothing works in the directory any more, so a pid file that still names a live process is stale and the
    // number reused. PostgreSQL itself would refuse to start if that process belongs to the same user.
    const auto left = read_postmaster_file(directory);
    if (left && ::kill(left->pid, 0) == 0) {
        ::unlinkat(directory, "postmaster.pid", 0);
        ::unlinkat(directory, ".s.PGSQL.5432.lock", 0);
    }
    return orphan;
}

}  // namespace nomiqon::embedded
