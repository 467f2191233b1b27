#pragma once

#include <expected>
#include <filesystem>
#include <string>

namespace nomiqon {

/// Holds a data directory for one process: an exclusive flock(2) on a file in it. The kernel gives the lock
/// back when the process ends, however it ends, so nothing stale can be left behind. Movable, not copyable.
class DataDirLock {
  public:
    /// Creates the directory (0700) and the lock file when they are missing. The error says who holds the
    /// lock, or why the directory can't be used.
    [[nodiscard]] static std::expected<DataDirLock, std::string> acquire(
        const std::filesystem::path& data_dir, const std::string& file = "gateway.lock");

    DataDirLock(DataDirLock&& other) noexcept;
    DataDirLock& operator=(DataDirLock&& other) noexcept;
    DataDirLock(const DataDirLock&) = delete;
    DataDirLock& operator=(const DataDirLock&) = delete;
    ~DataDirLock();

  private:
    explicit DataDirLock(int fd) : fd_(fd) {}
    int fd_ = -1;
};

}  // namespace nomiqon
