#include "ca_files.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>
#include <utility>

#include "nomiqon/core/ids.h"

namespace nomiqon::tls {
namespace {

namespace fs = std::filesystem;

constexpr off_t max_file_bytes = 8L * 1024 * 1024;
constexpr mode_t group_and_others = 077;

std::unexpected<CaProblem> problem(std::string message, std::string hint = {}) {
    return std::unexpected(CaProblem{.message = std::move(message), .hint = std::move(hint)});
}

std::unexpected<CaProblem> system_problem(std::string_view what, const fs::path& path, int error) {
    const std::string hint =
        error == EACCES || error == EPERM ? "do it as the user that the gateway runs as, or as root" : "";
    return problem("can't " + std::string{what} + ' ' + path.string() + ": " +
                       std::error_code{error, std::generic_category()}.message(),
                   hint);
}

/// Closes what it holds; the one descriptor of each function here.
class Descriptor {
  public:
    explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
    ~Descriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool ok() const { return descriptor_ >= 0; }
    [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_;
};

bool write_all(int descriptor, std::string_view content) {
    while (!content.empty()) {
        const ssize_t written = ::write(descriptor, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::expected<void, CaProblem> sync_directory(const fs::path& directory) {
    const Descriptor opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (opened.ok() && ::fsync(opened.get()) == 0) return {};
    return system_problem("sync", directory, errno);
}

/// Root writes for the gateway's user, whose directory it is.
bool give_to_owner(int descriptor, const fs::path& directory) {
    struct stat status{};
    if (::geteuid() != 0) return true;
    return ::stat(directory.c_str(), &status) == 0 && ::fchown(descriptor, status.st_uid, status.st_gid) == 0;
}

/// What a power cut left of a write: a whole key may be in it. Only under the lock, so that nobody is
/// writing.
void remove_half_written(const fs::path& directory) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{directory, error}) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(".ca.key.") || name.starts_with(".ca.next.key.") || name.starts_with(".ca.crt."))
            ::unlink(entry.path().c_str());
    }
}

}  // namespace

SecretText::~SecretText() {
    OPENSSL_cleanse(text_.data(), text_.size());
}

SecretText::SecretText(SecretText&& other) noexcept : text_(other.text_) {
    // A moved short string would leave its bytes behind.
    OPENSSL_cleanse(other.text_.data(), other.text_.size());
    other.text_.clear();
}

std::expected<std::optional<SecretText>, CaProblem> read_ca_file(const fs::path& path, Privacy privacy) {
    // Not blocking: a FIFO of that name must not hang the start.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!file.ok() && errno == ENOENT) return std::nullopt;
    if (!file.ok()) return system_problem("read", path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return system_problem("read", path, errno);
    if (!S_ISREG(status.st_mode)) return problem(path.string() + " is no regular file");
    if (status.st_size > max_file_bytes) return problem(path.string() + " is longer than 8 MiB");
    if (privacy == Privacy::owner_only && (status.st_mode & group_and_others) != 0) {
        return problem(path.string() + " holds the CA's private key, and other users may read it",
                       "chmod 600 " + path.string() +
                           "; if they may have read it, make another CA with nomiqon ca rotate");
    }
    SecretText content(static_cast<std::size_t>(status.st_size));
    std::size_t filled = 0;
    while (filled < content.view().size()) {
        const ssize_t count = ::read(file.get(), content.data() + filled, content.view().size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_problem("read", path, errno);
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    content.shorten(filled);
    return content;
}

std::expected<void, CaProblem> write_ca_file(const fs::path& path, std::string_view content, mode_t mode) {
    const fs::path directory = path.parent_path();
    const fs::path temporary = directory / ("." + path.filename().string() + "." + new_ulid());
    const Descriptor file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    if (!file.ok()) return system_problem("write to", directory, errno);
    // The mode again, since the umask may have narrowed it.
    if (::fchmod(file.get(), mode) != 0 || !give_to_owner(file.get(), directory) ||
        !write_all(file.get(), content) || ::fsync(file.get()) != 0 ||
        ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        return system_problem("write", path, error);
    }
    return sync_directory(directory);
}

std::expected<void, CaProblem> rename_ca_file(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) return system_problem("rename", from, errno);
    return sync_directory(to.parent_path());
}

std::expected<void, CaProblem> remove_ca_file(const fs::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_problem("remove", path, errno);
    return sync_directory(path.parent_path());
}

std::expected<void, CaProblem> make_data_directory(const fs::path& directory) {
    // `create_directories` would make the parents open to all that the umask lets through.
    for (fs::path path; const auto& part : directory) {
        path /= part;
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
            return system_problem("make the directory", path, errno);
    }
    return {};
}

std::expected<CaLock, CaProblem> CaLock::take(const fs::path& data_dir) {
    const fs::path path = data_dir / "ca.lock";
    Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file.ok()) return system_problem("write", path, errno);
    if (!give_to_owner(file.get(), data_dir)) return system_problem("write", path, errno);
    while (::flock(file.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return system_problem("lock", path, errno);
    }
    remove_half_written(data_dir);
    return CaLock{file.release()};
}

CaLock::~CaLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

CaLock::CaLock(CaLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

}  // namespace nomiqon::tls
