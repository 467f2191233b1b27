#pragma once

#include <sys/types.h>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/tls/ca_store.h"

/// The CA's files: whole or not at all, the private ones private. See CaStore.
namespace nomiqon::tls {

/// Text that holds a private key: wiped when it dies.
class SecretText {
  public:
    explicit SecretText(std::size_t size) : text_(size, '\0') {}
    ~SecretText();
    SecretText(SecretText&& other) noexcept;
    SecretText(const SecretText&) = delete;
    SecretText& operator=(const SecretText&) = delete;
    SecretText& operator=(SecretText&&) = delete;
    [[nodiscard]] std::string_view view() const { return text_; }
    [[nodiscard]] char* data() { return text_.data(); }
    void shorten(std::size_t size) { text_.resize(size); }

  private:
    std::string text_;
};

enum class Privacy : bool {
    whoever_may_read,
    owner_only,  ///< a file that its group or others may read is refused
};

/// Nothing where there is no such file.
[[nodiscard]] std::expected<std::optional<SecretText>, CaProblem> read_ca_file(
    const std::filesystem::path& path, Privacy privacy);

/// A temporary file beside it, synced, then renamed over `path`, and the directory synced. It belongs to the
/// owner of the directory, also where root writes it: the gateway must be able to read it.
[[nodiscard]] std::expected<void, CaProblem> write_ca_file(const std::filesystem::path& path,
                                                           std::string_view content, mode_t mode);

/// rename(2) and a sync of the directory.
[[nodiscard]] std::expected<void, CaProblem> rename_ca_file(const std::filesystem::path& from,
                                                            const std::filesystem::path& to);
[[nodiscard]] std::expected<void, CaProblem> remove_ca_file(const std::filesystem::path& path);

/// The directory, 0700, where it is missing.
[[nodiscard]] std::expected<void, CaProblem> make_data_directory(const std::filesystem::path& directory);

/// An exclusive lock among all who change the CA, from construction to destruction.
class CaLock {
  public:
    [[nodiscard]] static std::expected<CaLock, CaProblem> take(const std::filesystem::path& data_dir);
    ~CaLock();
    CaLock(CaLock&& other) noexcept;
    CaLock(const CaLock&) = delete;
    CaLock& operator=(const CaLock&) = delete;
    CaLock& operator=(CaLock&&) = delete;

  private:
    explicit CaLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace nomiqon::tls
