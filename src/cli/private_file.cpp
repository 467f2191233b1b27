#include "private_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "nomiqon/core/ids.h"

namespace nomiqon::cli {
namespace {

namespace fs = std::filesystem;

constexpr off_t max_file_bytes = 256L * 1024;
constexpr mode_t group_and_others = 077;
constexpr mode_t writable_by_others = 022;

std::unexpected<Failure> system_failure(std::string_view what, const fs::path& path, int error) {
    return failed("can't " + std::string{what} + ' ' + path.string() + ": " +
                  std::error_code{error, std::generic_category()}.message());
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

bool sync_directory(const fs::path& directory) {
    const Descriptor opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return opened.ok() && ::fsync(opened.get()) == 0;
}

}  // namespace

void wipe(std::string& text) {
    sodium_memzero(text.data(), text.size());
    text.clear();
}

SecretText::~SecretText() {
    wipe(text_);
}

SecretText::SecretText(SecretText&& other) noexcept : text_(other.text_) {
    // A moved short string would leave its bytes behind.
    wipe(other.text_);
}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
    if (this != &other) {
        wipe(text_);
        text_ = other.text_;
        wipe(other.text_);
    }
    return *this;
}

Outcome<void> make_private_directory(const fs::path& directory) {
    // `create_directories` would make the parents open to all that the umask lets through.
    for (fs::path path; const auto& part : directory) {
        path /= part;
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
            return system_failure("make the directory", path, errno);
    }
    struct stat status{};
    if (::stat(directory.c_str(), &status) != 0) return system_failure("read", directory, errno);
    if (!S_ISDIR(status.st_mode)) return failed(directory.string() + " is not a directory");
    if (status.st_uid != ::geteuid() || (status.st_mode & writable_by_others) != 0) {
        return failed("others may write to " + directory.string() + ", where agents' private keys lie",
                      "chmod 700 " + directory.string() + ", as the user whose it is");
    }
    return {};
}

Outcome<void> write_private_file(const fs::path& path, std::string_view content) {
    const fs::path temporary = path.parent_path() / ("." + path.filename().string() + "." + new_ulid());
    const Descriptor file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file.ok()) return system_failure("write to", path.parent_path(), errno);
    if (!write_all(file.get(), content) || ::fsync(file.get()) != 0 ||
        ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        return system_failure("write", path, error);
    }
    if (!sync_directory(path.parent_path())) return system_failure("sync", path.parent_path(), errno);
    return {};
}

Outcome<SecretText> read_private_file(const fs::path& path) {
    // Not blocking: a FIFO of that name must not hang the command.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    if (!file.ok()) return system_failure("read", path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return system_failure("read", path, errno);
    if (!S_ISREG(status.st_mode)) return failed(path.string() + " is no regular file");
    if (status.st_uid != ::geteuid())
        return failed(path.string() + " belongs to another user, so its key can't be trusted");
    if ((status.st_mode & group_and_others) != 0) {
        return failed(path.string() + " holds a private key that other users may read",
                      "chmod 600 " + path.string() +
                          "; if they may have read it, make the agent a new key: " +
                          "nomiqon agents add-key, then agents revoke");
    }
    if (status.st_size > max_file_bytes) return failed(path.string() + " is too long for a key file");

    std::string content(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t filled = 0;
    while (filled < content.size()) {
        const ssize_t count = ::read(file.get(), content.data() + filled, content.size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_failure("read", path, errno);
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    content.resize(filled);
    SecretText secret{content};
    wipe(content);
    return secret;
}

Outcome<DirectoryLock> DirectoryLock::take(const fs::path& directory) {
    const fs::path path = directory / ".lock";
    Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file.ok()) return system_failure("write", path, errno);
    while (::flock(file.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return system_failure("lock", path, errno);
    }
    return DirectoryLock{file.release()};
}

DirectoryLock::~DirectoryLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

}  // namespace nomiqon::cli
