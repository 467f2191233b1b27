#include "embedded_postgres_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace nomiqon::embedded {

namespace {

using namespace std::chrono_literals;

constexpr int directory_fd = 3;
constexpr int report_fd = 4;

struct Failure {
    int step = 0;
    int error = 0;
};
constexpr const char* step_names[] = {"descriptors", "session", "change user", "change directory", "execute"};

/// What the child needs, made before the fork: afterwards only async-signal-safe calls are allowed, since
/// another thread may have held any lock at that moment.
struct Plan {
    const char* program;
    char* const* argv;
    char* const* envp;
    int input, output, directory, report;
    ServerUser user;
    bool dies_with_parent;
};

bool place_descriptors(const Plan& plan) {
    // First out of the way of the numbers 0 to 4, then to their places.
    const int input = ::fcntl(plan.input, F_DUPFD_CLOEXEC, 10);
    const int output = ::fcntl(plan.output, F_DUPFD_CLOEXEC, 10);
    const int directory = plan.directory < 0 ? -1 : ::fcntl(plan.directory, F_DUPFD_CLOEXEC, 10);
    const int report = ::fcntl(plan.report, F_DUPFD_CLOEXEC, 10);
    if (input < 0 || output < 0 || report < 0 || (plan.directory >= 0 && directory < 0)) return false;
    if (::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0) return false;
    if (directory < 0) {
        ::close(directory_fd);
    } else if (::dup2(directory, directory_fd) < 0) {
        return false;
    }
    if (::dup3(report, report_fd, O_CLOEXEC) < 0) return false;
    // Sockets that some library opened without O_CLOEXEC must not live on in the database after the gateway.
    if (::syscall(SYS_close_range, report_fd + 1, ~0U, 0) == 0) return true;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int last = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
    for (int fd = report_fd + 1; fd < last; ++fd)
        ::close(fd);
    return true;
}

/// System calls, not glibc's wrappers: those speak to all threads of the process, which has only this one
/// here.
bool become(const ServerUser& user) {
    if (!user.drop) return true;
    return ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
           ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
           ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

[[noreturn]] void fail(int fd, int step) {
    const Failure failure{.step = step, .error = errno};
    [[maybe_unused]] const ssize_t written = ::write(fd, &failure, sizeof failure);
    ::_exit(127);
}

[[noreturn]] void run_child(const Plan& plan) {
    for (int number = 1; number < NSIG; ++number) {
        if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
    }
    if (!place_descriptors(plan)) fail(plan.report, 0);
    if (::setsid() < 0) fail(report_fd, 1);
    if (!become(plan.user)) fail(report_fd, 2);
    // A change of user clears the wish, so after it.
    if (plan.dies_with_parent) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // initdb and postgres want to come back to where they started; our own place may be closed to that user.
    if (::chdir("/") != 0) fail(report_fd, 3);
    ::umask(077);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(plan.program, plan.argv, plan.envp);
    fail(report_fd, 4);
}

int open_pidfd(pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

int milliseconds_until(Deadline deadline, Duration most) {
    const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp(left, Duration{0}, most).count());
}

}  // namespace

std::string because(int error) {
    return std::generic_category().message(error);
}

FileDescriptor::~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
}

Child::Child(pid_t pid) : pid_(pid), pidfd_(open_pidfd(pid)) {}

std::expected<Child, std::string> Child::spawn(const Command& command) {
    std::vector<std::string> words{command.program.string()};
    words.insert(words.end(), command.arguments.begin(), command.arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    // Not our environment: it may hold secrets, and PG… variables that would change what the server does.
    std::string variables[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"};
    char* envp[] = {variables[0].data(), variables[1].data(), variables[2].data(), nullptr};

    const FileDescriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    int ends[2] = {-1, -1};
    if (!null || ::pipe2(ends, O_CLOEXEC) != 0)
        return std::unexpected("can't start a process: " + because(errno));
    const FileDescriptor report{ends[0]};
    FileDescriptor child_report{ends[1]};
    const Plan plan{.program = words[0].c_str(),
                    .argv = argv.data(),
                    .envp = envp,
                    .input = null.get(),
                    .output = command.output >= 0 ? command.output : null.get(),
                    .directory = command.directory,
                    .report = child_report.get(),
                    .user = command.user,
                    .dies_with_parent = command.dies_with_parent};

    // No handler of ours may run in the child before its dispositions are reset.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = ::fork();
    if (pid == 0) run_child(plan);
    const int fork_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return std::unexpected("can't start a process: " + because(fork_error));

    Child child{pid};
    child_report = FileDescriptor{};  // ours, so that the read ends with the child's exec
    Failure failure;
    ssize_t size = 0;
    do {
        size = ::read(report.get(), &failure, sizeof failure);
    } while (size < 0 && errno == EINTR);
    if (size == static_cast<ssize_t>(sizeof failure)) {
        child.wait(after(5s));
        return std::unexpected(fmt::format("can't run {} ({}: {})", command.program.string(),
                                           step_names[failure.step], because(failure.error)));
    }
    return child;
}

bool Child::reap() {
    if (status_) return true;
    int status = 0;
    pid_t result = 0;
    do {
        result = ::waitpid(pid_, &status, WNOHANG);
    } while (result < 0 && errno == EINTR);
    if (result == 0) return false;
    status_ = result == pid_ ? status : -1;  // ECHILD: someone else reaped it; it is gone all the same
    return true;
}

Wait Child::wait(Deadline deadline, int wake) {
    while (!reap()) {
        pollfd watched[] = {{.fd = pidfd_.get(), .events = POLLIN, .revents = 0},
                            {.fd = wake, .events = POLLIN, .revents = 0}};
        // A kernel or sandbox without pidfd_open is asked every 50 ms instead.
        const Duration slice = pidfd_ ? 60s : Duration{50};
        ::poll(watched, 2, milliseconds_until(deadline, slice));
        if (reap()) return Wait::exited;
        if ((watched[1].revents & POLLIN) != 0) return Wait::woken;
        if (std::chrono::steady_clock::now() >= deadline) return Wait::timeout;
    }
    return Wait::exited;
}

void Child::signal(int number) const {
    if (!status_) ::kill(pid_, number);  // not reaped yet, so the number is still this child's
}

std::string Child::ending() const {
    if (!status_) return "is running";
    if (*status_ < 0) return "ended";
    if (WIFSIGNALED(*status_)) return fmt::format("was killed by signal {}", WTERMSIG(*status_));
    return fmt::format("exited with status {}", WEXITSTATUS(*status_));
}

}  // namespace nomiqon::embedded
