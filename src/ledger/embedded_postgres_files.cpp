#include "embedded_postgres_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

namespace nomiqon::embedded {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view unfinished = "postgres.init-";

/// Appended to the configuration that initdb wrote; an operator may change it there. What must not be changed
/// is on the server's command line.
constexpr std::string_view settings = R"(
# Chosen by nomiqon-gateway when it made this database. Yours to tune.
max_connections = 64
shared_buffers = 128MB
max_wal_size = 512MB
checkpoint_timeout = 15min
jit = off
log_min_messages = warning
log_min_error_statement = panic   # a statement may carry what has no place in a log
log_checkpoints = off
log_line_prefix = '%m [%p] '
)";

std::optional<passwd> lookup_user(const char* name, std::vector<char>& buffer) {
    buffer.resize(16 * 1024);
    passwd entry{};
    passwd* result = nullptr;
    if (::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &result) != 0 || result == nullptr)
        return {};
    return entry;
}

const char* utf8_locale() {
    // glibc has C.UTF-8 built in only since 2.35.
    locale_t found = ::newlocale(LC_ALL_MASK, "C.UTF-8", nullptr);
    if (found == nullptr) return "C";
    ::freelocale(found);
    return "C.UTF-8";
}

std::expected<void, std::string> sync(int fd, std::string_view what) {
    if (::fsync(fd) == 0) return {};
    return std::unexpected(fmt::format("{} can't be brought to disk: {}", what, because(errno)));
}

std::expected<void, std::string> append_settings(int directory) {
    // O_NOFOLLOW: the directory is another user's, and we may be root.
    const FileDescriptor file{
        ::openat(directory, "postgresql.conf", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)};
    if (!file) return std::unexpected("postgresql.conf can't be written: " + because(errno));
    if (::write(file.get(), settings.data(), settings.size()) != static_cast<ssize_t>(settings.size())) {
        return std::unexpected("postgresql.conf can't be written: " + because(errno));
    }
    return sync(file.get(), "postgresql.conf");
}

void clear_unfinished(const Layout& layout) {
    std::error_code ignored;
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(layout.data_dir, ignored)) {
        if (entry.path().filename().string().starts_with(unfinished)) left.push_back(entry.path());
    }
    for (const fs::path& path : left)
        fs::remove_all(path, ignored);
}

std::expected<void, std::string> run_initdb(const Layout& layout, const Programs& programs,
                                            const ServerUser& user, int directory, Duration limit,
                                            bool sync_to_disk) {
    auto log = open_log(layout, UINTMAX_MAX);
    if (!log) return std::unexpected(log.error());
    const std::uintmax_t start = log_size(log->get());
    // Trust is right for this server and for no other: it listens on nothing but a socket in a directory of
    // mode 0700, so whoever can connect could as well read the files, and there is no password to leak.
    Command command{
        .program = programs.bin / "initdb",
        .arguments = {"-D", directory_path, "--username=nomiqon_owner", "--encoding=UTF8",
                      fmt::format("--locale={}", utf8_locale()), "--auth=trust", "--data-checksums"},
        .directory = directory,
        .output = log->get(),
        .user = user,
        .dies_with_parent = true};
    if (!sync_to_disk) command.arguments.emplace_back("--no-sync");
    auto child = Child::spawn(command);
    if (!child) return std::unexpected(child.error());
    if (child->wait(after(limit)) != Wait::exited) {
        ::kill(-child->pid(), SIGKILL);  // its session: the postgres that it runs, too
        child->wait(after(Duration{5'000}));
        return std::unexpected(fmt::format("initdb did not finish within {} s", limit.count() / 1000));
    }
    if (child->succeeded()) return {};
    return std::unexpected(fmt::format("initdb failed ({}): {}", child->ending(), log_tail(layout, start)));
}

}  // namespace

std::expected<ServerUser, std::string> server_user(const Layout& layout) {
    if (::geteuid() != 0) return ServerUser{.uid = ::geteuid(), .gid = ::getegid()};
    struct stat info{};
    std::error_code ignored;
    if (::stat(layout.cluster().c_str(), &info) == 0 && !fs::is_empty(layout.cluster(), ignored)) {
        if (info.st_uid != 0) return ServerUser{.uid = info.st_uid, .gid = info.st_gid, .drop = true};
        return std::unexpected(
            fmt::format("{} belongs to root, whom PostgreSQL refuses to run as: give it to the user "
                        "`postgres` (chown -R)",
                        layout.cluster().string()));
    }
    std::vector<char> buffer;
    for (const char* name : {"postgres", "nobody"}) {
        const auto entry = lookup_user(name, buffer);
        if (entry && entry->pw_uid != 0)
            return ServerUser{.uid = entry->pw_uid, .gid = entry->pw_gid, .drop = true};
    }
    return std::unexpected(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`");
}

std::expected<int, std::string> cluster_version(const Layout& layout) {
    const fs::path cluster = layout.cluster();
    std::error_code error;
    if (!fs::exists(fs::symlink_status(cluster, error))) return 0;
    if (!fs::is_directory(cluster, error)) {
        return std::unexpected(fmt::format("{} is not a directory", cluster.string()));
    }
    std::ifstream file(cluster / "PG_VERSION");
    int major = 0;
    if (file >> major && major > 0) return major;
    const bool empty = fs::is_empty(cluster, error);
    if (error) return std::unexpected(fmt::format("{} can't be read: {}", cluster.string(), error.message()));
    if (empty) return 0;
    return std::unexpected(fmt::format(
        "{} is neither empty nor readable as a PostgreSQL data directory: move it away", cluster.string()));
}

std::expected<void, std::string> initialise_cluster(const Layout& layout, const Programs& programs,
                                                    const ServerUser& user, Duration limit,
                                                    bool sync_to_disk) {
    clear_unfinished(layout);
    // A fresh name each time: an initdb that outlived its gateway can't write into this one.
    std::string path = (layout.data_dir / unfinished).string() + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
        return std::unexpected(
            fmt::format("{} is not writable: {}", layout.data_dir.string(), because(errno)));
    }
    const FileDescriptor directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const FileDescriptor parent{::open(layout.data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    std::expected<void, std::string> done;
    if (!directory || !parent || (user.drop && ::fchown(directory.get(), user.uid, user.gid) != 0)) {
        done = std::unexpected(fmt::format("{} can't be prepared: {}", path, because(errno)));
    }
    if (done) done = run_initdb(layout, programs, user, directory.get(), limit, sync_to_disk);
    if (done) done = append_settings(directory.get());
    if (done) done = sync(directory.get(), path);
    if (done && ::rename(path.c_str(), layout.cluster().c_str()) != 0) {
        done = std::unexpected(
            fmt::format("{} can't be put in its place: {}", layout.cluster().string(), because(errno)));
    }
    if (done) return sync(parent.get(), layout.data_dir.string());
    clear_unfinished(layout);
    return done;
}

std::expected<FileDescriptor, std::string> open_cluster(const Layout& layout, const ServerUser& user) {
    FileDescriptor directory{::open(layout.cluster().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat info{};
    if (!directory || ::fstat(directory.get(), &info) != 0) {
        return std::unexpected(
            fmt::format("{} can't be opened: {}", layout.cluster().string(), because(errno)));
    }
    if (info.st_uid != user.uid) {
        return std::unexpected(fmt::format("{} belongs to user id {}, but PostgreSQL would run as user id {}",
                                           layout.cluster().string(), info.st_uid, user.uid));
    }
    return directory;
}

std::expected<FileDescriptor, std::string> open_log(const Layout& layout, std::uintmax_t limit) {
    std::error_code error;
    const fs::path path = layout.log();
    if (fs::file_size(path, error) > limit && !error) fs::rename(path, path.string() + ".1", error);
    FileDescriptor log{::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!log) return std::unexpected(fmt::format("{} can't be written: {}", path.string(), because(errno)));
    return log;
}

std::uintmax_t log_size(int log) {
    struct stat info{};
    return ::fstat(log, &info) == 0 ? static_cast<std::uintmax_t>(info.st_size) : 0;
}

void trim_log(const Layout& layout, int log, std::uintmax_t limit) {
    if (log_size(log) <= limit) return;
    // The server goes on writing into the same file, at its new end (O_APPEND). What it says between the copy
    // and the cut is lost: the price of a log with a limit and no process of its own.
    std::error_code ignored;
    fs::copy_file(layout.log(), layout.log().string() + ".1", fs::copy_options::overwrite_existing, ignored);
    [[maybe_unused]] const int cut = ::ftruncate(log, 0);
}

std::string log_tail(const Layout& layout, std::uintmax_t from) {
    constexpr std::uintmax_t most = 1500;
    std::ifstream file(layout.log(), std::ios::binary | std::ios::ate);
    const auto end = file ? static_cast<std::uintmax_t>(file.tellg()) : 0;
    if (end <= from) return "it said nothing";
    const std::uintmax_t start = std::max(from, end > most ? end - most : 0);
    file.seekg(static_cast<std::streamoff>(start));
    std::string text(static_cast<std::size_t>(end - start), '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (start > from) text.erase(0, text.find('\n') + 1);  // not from the middle of a line
    std::string line;
    for (const char c : text) {
        const bool is_break = c == '\n' || c == '\r' || c == '\t';
        if (is_break && (line.empty() || line.ends_with("| "))) continue;
        line += is_break ? std::string(" | ") : std::string(1, c);
    }
    if (line.ends_with(" | ")) line.resize(line.size() - 3);
    return line;
}

}  // namespace nomiqon::embedded
