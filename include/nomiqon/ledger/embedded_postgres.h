#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "nomiqon/core/time.h"

namespace spdlog {
class logger;
}

namespace nomiqon {

struct EmbeddedPostgresOptions {
    std::filesystem::path data_dir;  ///< the gateway's; the database lives in `postgres/` below it
    Duration start_timeout{60'000};  ///< for initdb, and again for a start with its crash recovery
    Duration stop_timeout{30'000};   ///< for a fast shutdown; then an immediate one
    std::uintmax_t log_bytes = 8 * 1024 * 1024;  ///< of `postgres.log`, and of the older half beside it
    bool sync_to_disk = true;  ///< false: tests only; a crash of the machine loses the database
    std::shared_ptr<spdlog::logger> log = nullptr;  ///< may be null
};

/// A private PostgreSQL: made by initdb on the first start, reachable through a Unix socket only, never run
/// as root, restarted when it dies, stopped with this object. It outlives a kill -9 of the gateway unharmed;
/// the next start finds the orphan, stops it cleanly and starts anew. (Not adopted: an orphan is no child, so
/// its end could not be awaited reliably, it may run with an older gateway's settings, and the dead gateway's
/// sessions may hold locks.)
///
/// A resource: made once in `main`, destroyed last. All methods are thread-safe.
class EmbeddedPostgres {
  public:
    /// Blocks until the server takes connections and the database exists. PostgreSQL's programs are searched
    /// in
    /// `$NOMIQON_POSTGRES_BIN`, in /usr/lib/postgresql/*/bin (the newest from 13 on) and in `$PATH`.
    [[nodiscard]] static std::expected<std::unique_ptr<EmbeddedPostgres>, std::string> start(
        EmbeddedPostgresOptions options);

    EmbeddedPostgres(const EmbeddedPostgres&) = delete;
    EmbeddedPostgres& operator=(const EmbeddedPostgres&) = delete;
    ~EmbeddedPostgres();

    /// libpq connection strings (keywords and values). The owner is a superuser of this server; the runtime
    /// role exists once `ensure_roles` has made it.
    [[nodiscard]] std::string owner_url() const;
    [[nodiscard]] std::string runtime_url() const;
    [[nodiscard]] std::string conninfo(std::string_view user, std::string_view database) const;

    /// Where the clients find the socket; another than the data directory when that one's path is too long.
    [[nodiscard]] std::filesystem::path socket_directory() const;

    /// Of the postmaster; 0 while it is down. It changes with a restart.
    [[nodiscard]] pid_t pid() const noexcept;

    /// A fast shutdown: sessions end, the last checkpoint is written. Idempotent.
    void stop();

    /// Ends a server that a killed process left in `data_dir`, without starting another. True: there was one.
    [[nodiscard]] static std::expected<bool, std::string> stop_orphan(const std::filesystem::path& data_dir);

  private:
    class Server;
    explicit EmbeddedPostgres(std::unique_ptr<Server> server);
    std::unique_ptr<Server> server_;
};

}  // namespace nomiqon
