#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "nomiqon/ledger/data_dir_lock.h"

namespace nomiqon {

namespace fs = std::filesystem;

namespace {

std::string because(int error) {
    return std::generic_category().message(error);
}

/// The last directory is the gateway's own (0700); parents that are missing get the usual mode.
std::expected<void, std::string> make_directory(const fs::path& dir) {
    std::error_code error;
    const fs::path absolute = fs::absolute(dir, error).lexically_normal();
    if (dir.empty() || error) return std::unexpected("the data directory is not set");
    if (fs::is_directory(absolute, error)) return {};
    if (fs::exists(absolute, error)) {
        return std::unexpected(fmt::format("the data directory {} is not a directory", absolute.string()));
    }
    const fs::path parent =
        absolute.has_filename() ? absolute.parent_path() : absolute.parent_path().parent_path();
    fs::create_directories(parent, error);
    if (error) {
        return std::unexpected(
            fmt::format("the data directory {} can't be created: {}", absolute.string(), error.message()));
    }
    if (::mkdir(absolute.c_str(), 0700) != 0 && errno != EEXIST) {
        return std::unexpected(
            fmt::format("the data directory {} can't be created: {}", absolute.string(), because(errno)));
    }
    return {};
}

/// The holder's process id is written into the file for this one message; nothing decides by it.
std::string holder_of(int fd) {
    char text[24] = {};
    const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
    std::string pid{text, size > 0 ? static_cast<std::size_t>(size) : 0};
    while (!pid.empty() && pid.back() == '\n')
        pid.pop_back();
    if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos) return "another process";
    return fmt::format("another process (pid {})", pid);
}

}  // namespace

std::expected<DataDirLock, std::string> DataDirLock::acquire(const fs::path& data_dir,
                                                             const std::string& file) {
    if (auto made = make_directory(data_dir); !made) return std::unexpected(made.error());
    const fs::path path = data_dir / file;
    // O_CLOEXEC matters here: a child that inherits the descriptor would keep the lock after a kill -9 of the
    // gateway.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return std::unexpected(
            fmt::format("the data directory is not writable: {}: {}", path.string(), because(errno)));
    }
    DataDirLock lock{fd};
    int result = 0;
    do {
        result = ::flock(fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
        return std::unexpected(
            fmt::format("the data directory {} is in use by {}: each gateway needs its own",
                        data_dir.string(), holder_of(fd)));
    }
    if (result != 0) {
        return std::unexpected(fmt::format("{} can't be locked: {}", path.string(), because(errno)));
    }
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
        return std::unexpected(fmt::format("{} can't be written: {}", path.string(), because(errno)));
    }
    return lock;
}

DataDirLock::DataDirLock(DataDirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DataDirLock& DataDirLock::operator=(DataDirLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

DataDirLock::~DataDirLock() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace nomiqon
