#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "failure.h"

namespace nomiqon::cli {

/// Text that holds a private key: wiped when it dies, never copied.
class SecretText {
  public:
    SecretText() = default;
    explicit SecretText(std::string text) : text_(std::move(text)) {}
    ~SecretText();
    SecretText(SecretText&& other) noexcept;
    SecretText& operator=(SecretText&& other) noexcept;
    SecretText(const SecretText&) = delete;
    SecretText& operator=(const SecretText&) = delete;

    [[nodiscard]] std::string_view view() const { return text_; }

  private:
    std::string text_;
};

/// Wipes a string's own memory, for texts that a library made.
void wipe(std::string& text);

/// Makes the directory (and its parents), 0700, and refuses one that others may write to.
[[nodiscard]] Outcome<void> make_private_directory(const std::filesystem::path& directory);

/// All or nothing: a temporary file beside it, 0600 from its first byte on, synced, then renamed over `path`;
/// the directory is synced too, so that the file is there after a power cut.
[[nodiscard]] Outcome<void> write_private_file(const std::filesystem::path& path, std::string_view content);

/// Refuses symbolic links, other users' files, and files that group or others may read.
[[nodiscard]] Outcome<SecretText> read_private_file(const std::filesystem::path& path);

/// An exclusive lock among this user's `nomiqon` processes, from construction to destruction.
class DirectoryLock {
  public:
    [[nodiscard]] static Outcome<DirectoryLock> take(const std::filesystem::path& directory);
    ~DirectoryLock();
    DirectoryLock(DirectoryLock&& other) noexcept;
    DirectoryLock& operator=(DirectoryLock&&) = delete;
    DirectoryLock(const DirectoryLock&) = delete;
    DirectoryLock& operator=(const DirectoryLock&) = delete;

  private:
    explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_ = -1;
};

}  // namespace nomiqon::cli
