// The first API key: in a file that only its owner can read, known to the database by its hash.
//
// The file is there before the database knows the key: a gateway that dies between the two registers it on
// its next start. The other order would leave a key that nobody has.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>

#include "api.h"
#include "api_key.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ids.h"

namespace nomiqon::admin {
namespace {

class File {
  public:
    explicit File(int descriptor) : descriptor_(descriptor) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

  private:
    int descriptor_;
};

std::string why() {
    return std::strerror(errno);
}

/// The key of the file; nothing when there is no file.
std::expected<std::optional<std::string>, std::string> read_key(const std::filesystem::path& path) {
    const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (!file.is_open()) {
        if (errno == ENOENT) return std::nullopt;
        return std::unexpected("can't read " + path.string() + ": " + why());
    }
    struct stat status{};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::unexpected(path.string() + " is no regular file");
    }
    std::array<char, 256> text{};
    const auto size = ::read(file.get(), text.data(), text.size());
    if (size < 0) return std::unexpected("can't read " + path.string() + ": " + why());
    std::string key(text.data(), static_cast<std::size_t>(size));
    if (key.ends_with('\n')) key.pop_back();
    if (!is_api_key(key)) {
        return std::unexpected(path.string() +
                               " holds no API key; remove it and start again, or put the key back");
    }
    return key;
}

/// Writes the file at once and whole, never over another one.
std::expected<void, std::string> write_key(const std::filesystem::path& path, const std::string& key) {
    const auto temporary = path.string() + '.' + new_ulid();
    const auto failed = [&](const std::string& what) {
        auto message = what + ": " + why();
        ::unlink(temporary.c_str());
        return std::unexpected(message);
    };
    {
        const File file{
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
        if (!file.is_open()) return failed("can't make " + temporary);
        const auto line = key + '\n';
        const auto written = ::write(file.get(), line.data(), line.size());
        if (written != static_cast<ssize_t>(line.size()) || ::fsync(file.get()) != 0) {
            return failed("can't write " + temporary);
        }
    }
    // A link, unlike a rename, fails where there is a file already.
    if (::link(temporary.c_str(), path.c_str()) != 0) return failed("can't make " + path.string());
    ::unlink(temporary.c_str());
    const File directory{::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (directory.is_open()) ::fsync(directory.get());
    return {};
}

std::expected<json, std::string> call(ledger::AdminStore& store, std::string function, json arguments) {
    boost::asio::io_context io{1};
    std::expected<json, std::string> answer = std::unexpected<std::string>("it did not answer");
    boost::asio::co_spawn(
        io, store.call(std::move(function), std::move(arguments)),
        [&](const std::exception_ptr& problem, std::expected<json, ledger::AdminError> result) {
            if (problem) return;
            if (result) {
                answer = *std::move(result);
            } else {
                answer = std::unexpected(result.error().message);
            }
        });
    io.run();
    if (!answer)
        return std::unexpected("the first API key can't be made: the database says: " + answer.error());
    return answer;
}

/// Whether the key may be used now.
std::expected<bool, std::string> register_key(ledger::AdminStore& store, const std::string& key) {
    const auto usable = call(store, "register_first_key",
                             {{"key_id", ApiKeyId::generate().str()},
                              {"name", "admin.key"},
                              {"scopes", {"full"}},
                              {"hash", sha256_hex(key)},
                              {"by", "gateway"}});
    if (!usable) return std::unexpected(usable.error());
    return usable->get<bool>();
}

}  // namespace

std::expected<void, std::string> ensure_first_api_key(const Config& config, ledger::AdminStore& store) {
    const auto path = config.data_dir / "admin.key";
    const auto present = read_key(path);
    if (!present) return std::unexpected(present.error());
    if (*present) {
        // Registers it in a fresh database. One that knows other keys keeps to those: the file may be of
        // another time.
        const auto usable = register_key(store, **present);
        if (!usable) return std::unexpected(usable.error());
        return {};
    }
    const auto has_key = call(store, "has_full_key", json::object());
    if (!has_key) return std::unexpected(has_key.error());
    if (has_key->get<bool>()) return {};  // another gateway of the same database has made it

    const auto key = new_api_key();
    if (auto written = write_key(path, key); !written) return written;
    const auto usable = register_key(store, key);
    if (!usable) return std::unexpected(usable.error());
    if (!*usable) ::unlink(path.c_str());  // another gateway was first
    return {};
}

}  // namespace nomiqon::admin
