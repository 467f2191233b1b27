#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include "embedded_postgres_process.h"

// What the private PostgreSQL has on disk: its programs, its data directory, its log, its socket.
namespace nomiqon::embedded {

struct Programs {
    std::filesystem::path bin;
    int major = 0;
};

/// The newest installed PostgreSQL, or the one of the major version that made the data directory (0: any).
[[nodiscard]] std::expected<Programs, std::string> find_programs(int wanted_major);

/// Below the gateway's data directory.
struct Layout {
    std::filesystem::path data_dir;
    [[nodiscard]] std::filesystem::path cluster() const { return data_dir / "postgres"; }
    [[nodiscard]] std::filesystem::path log() const { return data_dir / "postgres.log"; }
};

/// The owner of an existing cluster; for a new one `postgres`, else `nobody`, if we are root, else ourselves.
[[nodiscard]] std::expected<ServerUser, std::string> server_user(const Layout& layout);

/// The major version that made the cluster; 0: there is none yet.
[[nodiscard]] std::expected<int, std::string> cluster_version(const Layout& layout);

/// initdb into a directory beside, which becomes the cluster by a rename when all is on disk: a crash in the
/// middle leaves nothing that looks like a database, and the next start clears it away.
[[nodiscard]] std::expected<void, std::string> initialise_cluster(const Layout& layout,
                                                                  const Programs& programs,
                                                                  const ServerUser& user, Duration limit,
                                                                  bool sync_to_disk);

/// The cluster's directory, open, checked to belong to the server's user.
[[nodiscard]] std::expected<FileDescriptor, std::string> open_cluster(const Layout& layout,
                                                                      const ServerUser& user);

/// The log of initdb and server, for appending; an over-long one is put aside first.
[[nodiscard]] std::expected<FileDescriptor, std::string> open_log(const Layout& layout, std::uintmax_t limit);
/// While the server has it open: keeps a copy of an over-long log and empties it.
void trim_log(const Layout& layout, int log, std::uintmax_t limit);
[[nodiscard]] std::uintmax_t log_size(int log);
/// The last lines that were written at `from` or later, on one line.
[[nodiscard]] std::string log_tail(const Layout& layout, std::uintmax_t from);

/// How the clients reach the socket in the cluster's directory. An address has at most 107 bytes (sun_path,
/// unix(7)), so that a long path is reached through a short link, which lives as long as this object.
class SocketPath {
  public:
    [[nodiscard]] static std::expected<SocketPath, std::string> make(const Layout& layout);
    SocketPath(SocketPath&& other) noexcept
        : directory_(std::exchange(other.directory_, {})), made_(std::exchange(other.made_, {})) {}
    SocketPath& operator=(SocketPath&&) = delete;
    ~SocketPath() { remove(); }
    void remove() const;  ///< the short link, if one was made
    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  private:
    explicit SocketPath(std::filesystem::path directory) : directory_(std::move(directory)) {}
    std::filesystem::path directory_;
    std::filesystem::path made_;  ///< the short directory; empty: none was needed
};

}  // namespace nomiqon::embedded
