#include "nomiqon/ledger/embedded_postgres.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/logger.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "embedded_postgres_files.h"
#include "embedded_postgres_process.h"
#include "migrations_connection.h"
#include "nomiqon/ledger/data_dir_lock.h"

namespace nomiqon {

using namespace embedded;
using namespace std::chrono_literals;

namespace {

constexpr const char* owner_role = "nomiqon_owner";
constexpr const char* runtime_role = "nomiqon_runtime";
constexpr const char* database_name = "nomiqon";

constexpr Duration first_backoff = 100ms;
constexpr Duration last_backoff = 5s;
constexpr Duration steady = 10s;  ///< a server that ran so long starts the backoff anew
constexpr Duration log_check = 10s;
constexpr Duration immediate_limit = 10s;  ///< PostgreSQL kills its own children after 5 s

/// A value of a libpq connection string (PostgreSQL manual, 34.1.1.1).
std::string conninfo_value(std::string_view value) {
    std::string text = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') text += '\\';
        text += c;
    }
    return text + "'";
}

/// What an operator must not change, hence not in the file that they may edit.
std::vector<std::string> server_arguments(bool sync_to_disk) {
    std::vector<std::string> arguments{"-D", directory_path};
    // The socket's directory is relative to the data directory: short, and needs no right above it.
    for (const char* setting :
         {"listen_addresses=", "port=5432", "unix_socket_directories=.", "unix_socket_permissions=0700",
          sync_to_disk ? "fsync=on" : "fsync=off", "full_page_writes=on", "synchronous_commit=on",
          "logging_collector=off", "log_destination=stderr", "cluster_name=nomiqon",
          // The append-only tables have a partition a day, and a settlement locks them all.
          "max_locks_per_transaction=512"}) {
        arguments.emplace_back("-c");
        arguments.emplace_back(setting);
    }
    return arguments;
}

std::shared_ptr<spdlog::logger> or_silent(std::shared_ptr<spdlog::logger> log) {
    return log ? std::move(log) : std::make_shared<spdlog::logger>("postgres");
}

}  // namespace

/// Threads: `start` and, once the supervisor has been joined, `stop` use the child; in between the supervisor
/// alone.
class EmbeddedPostgres::Server {
  public:
    Server(EmbeddedPostgresOptions options, DataDirLock lock, Layout layout)
        : options_(std::move(options)),
          log_(or_silent(options_.log)),
          lock_(std::move(lock)),
          layout_(std::move(layout)) {}
    ~Server() { stop(); }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::expected<void, std::string> start();
    void stop();
    [[nodiscard]] pid_t pid() const noexcept { return pid_.load(); }
    [[nodiscard]] const std::filesystem::path& socket_directory() const { return socket_->directory(); }
    [[nodiscard]] std::string conninfo(std::string_view user, std::string_view database) const {
        return fmt::format("host={} port='5432' user={} dbname={}",
                           conninfo_value(socket_->directory().string()), conninfo_value(user),
                           conninfo_value(database));
    }

  private:
    std::expected<void, std::string> prepare();
    std::expected<void, std::string> launch();
    std::expected<void, std::string> wait_ready(int directory, std::uintmax_t log_start);
    std::expected<void, std::string> create_database();
    void supervise();
    void shut_down();
    [[nodiscard]] bool asked_to_stop(Duration wait);

    const EmbeddedPostgresOptions options_;
    const std::shared_ptr<spdlog::logger> log_;
    std::optional<DataDirLock> lock_;
    const Layout layout_;
    ServerUser user_;
    Programs programs_;
    std::optional<SocketPath> socket_;
    FileDescriptor output_;
    FileDescriptor stop_event_;
    std::optional<Child> child_;
    std::atomic<pid_t> pid_{0};
    std::mutex stop_mutex_;
    bool stopped_ = false;
    std::jthread supervisor_;
};

std::expected<void, std::string> EmbeddedPostgres::Server::prepare() {
    auto user = server_user(layout_);
    if (!user) return std::unexpected(user.error());
    user_ = *user;
    const auto version = cluster_version(layout_);
    if (!version) return std::unexpected(version.error());
    auto programs = find_programs(*version);
    if (!programs) return std::unexpected(programs.error());
    programs_ = *std::move(programs);
    auto output = open_log(layout_, options_.log_bytes);
    if (!output) return std::unexpected(output.error());
    output_ = *std::move(output);
    if (*version == 0) {
        log_->info("making a private PostgreSQL {} database in {}", programs_.major,
                   layout_.cluster().string());
        auto made =
            initialise_cluster(layout_, programs_, user_, options_.start_timeout, options_.sync_to_disk);
        if (!made) return made;
    }
    auto socket = SocketPath::make(layout_);
    if (!socket) return std::unexpected(socket.error());
    socket_.emplace(*std::move(socket));
    return {};
}

std::expected<void, std::string> EmbeddedPostgres::Server::start() {
    stop_event_ = FileDescriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!stop_event_) return std::unexpected("no eventfd: " + because(errno));
    auto done = prepare();
    if (done) done = launch();
    if (done) done = create_database();
    if (!done) return done;
    supervisor_ = std::jthread([this] { supervise(); });
    log_->info("private PostgreSQL {} runs as pid {}", programs_.major, pid());
    return {};
}

/// One attempt, until the server takes connections; a failed one leaves no process behind.
std::expected<void, std::string> EmbeddedPostgres::Server::launch() {
    const auto directory = open_cluster(layout_, user_);
    if (!directory) return std::unexpected(directory.error());
    const auto orphan = stop_leftovers(directory->get(), options_.stop_timeout);
    if (!orphan) return std::unexpected(orphan.error());
    if (*orphan) log_->warn("stopped the private PostgreSQL that an earlier gateway had left running");

    const std::uintmax_t log_start = log_size(output_.get());
    auto child = Child::spawn({.program = programs_.bin / "postgres",
                               .arguments = server_arguments(options_.sync_to_disk),
                               .directory = directory->get(),
                               .output = output_.get(),
                               .user = user_});
    if (!child) return std::unexpected(child.error());
    child_.emplace(*std::move(child));
    auto ready = wait_ready(directory->get(), log_start);
    if (!ready) {
        shut_down();
        return ready;
    }
    pid_ = child_->pid();
    return {};
}

std::expected<void, std::string> EmbeddedPostgres::Server::wait_ready(int directory,
                                                                      std::uintmax_t log_start) {
    const Deadline deadline = after(options_.start_timeout);
    while (std::chrono::steady_clock::now() < deadline) {
        switch (child_->wait(std::min(deadline, after(20ms)), stop_event_.get())) {
            case Wait::exited:
                return std::unexpected(fmt::format("PostgreSQL {} while it started: {}", child_->ending(),
                                                   log_tail(layout_, log_start)));
            case Wait::woken:
                return std::unexpected("stopped while PostgreSQL started");
            case Wait::timeout:
                break;
        }
        const auto file = read_postmaster_file(directory);
        if (file && file->pid == child_->pid() && file->ready) return {};
    }
    return std::unexpected(fmt::format("PostgreSQL was not ready within {} s: {}",
                                       options_.start_timeout.count() / 1000, log_tail(layout_, log_start)));
}

/// At every start, since a crash may have come between initdb and this.
std::expected<void, std::string> EmbeddedPostgres::Server::create_database() {
    auto connection = PgConnection::open(conninfo(owner_role, "postgres"), options_.start_timeout);
    if (!connection) {
        shut_down();
        return std::unexpected(connection.error());
    }
    const auto found = connection->query("SELECT 1 FROM pg_database WHERE datname = $1", {database_name});
    std::expected<void, PgError> made;
    if (!found) made = std::unexpected(found.error());
    if (found && found->empty()) made = connection->execute(fmt::format("CREATE DATABASE {}", database_name));
    if (made) return {};
    shut_down();
    return std::unexpected(fmt::format("the database can't be created: {}", made.error().message));
}

bool EmbeddedPostgres::Server::asked_to_stop(Duration wait) {
    pollfd event{.fd = stop_event_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&event, 1, static_cast<int>(wait.count())) > 0;
}

/// Never gives up: a full disk may be emptied, a killed server comes back. Meanwhile the gateway answers 503.
void EmbeddedPostgres::Server::supervise() {
    Duration backoff = first_backoff;
    auto since = std::chrono::steady_clock::now();
    while (!asked_to_stop(0ms)) {
        if (child_) {
            const Wait result = child_->wait(after(log_check), stop_event_.get());
            trim_log(layout_, output_.get(), options_.log_bytes);
            if (result != Wait::exited) continue;
            pid_ = 0;
            log_->error("the private PostgreSQL {}; starting it again", child_->ending());
            child_.reset();
            if (std::chrono::steady_clock::now() - since > steady) backoff = first_backoff;
        }
        if (asked_to_stop(backoff)) return;
        backoff = std::min(backoff * 2, last_backoff);
        since = std::chrono::steady_clock::now();
        const auto launched = launch();
        if (launched) {
            log_->warn("the private PostgreSQL is back, as pid {}", pid());
        } else if (!asked_to_stop(0ms)) {
            log_->error("the private PostgreSQL does not start, next attempt in {} ms: {}", backoff.count(),
                        launched.error());
        }
    }
}

/// Fast, then immediate (crash recovery at the next start), then by force.
void EmbeddedPostgres::Server::shut_down() {
    pid_ = 0;
    if (!child_) return;
    const std::pair<int, Duration> steps[] = {
        {SIGINT, options_.stop_timeout}, {SIGQUIT, immediate_limit}, {SIGKILL, 5s}};
    for (const auto& [signal, limit] : steps) {
        child_->signal(signal);
        if (child_->wait(after(limit)) == Wait::exited) break;
        log_->warn("the private PostgreSQL does not stop within {} ms of signal {}", limit.count(), signal);
    }
    child_.reset();
}

void EmbeddedPostgres::Server::stop() {
    const std::lock_guard guard(stop_mutex_);
    if (std::exchange(stopped_, true)) return;
    if (stop_event_) ::eventfd_write(stop_event_.get(), 1);
    if (supervisor_.joinable()) supervisor_.join();
    shut_down();
    if (socket_) socket_->remove();
    lock_.reset();
}

std::expected<std::unique_ptr<EmbeddedPostgres>, std::string> EmbeddedPostgres::start(
    EmbeddedPostgresOptions options) {
    std::error_code error;
    const Layout layout{.data_dir = std::filesystem::absolute(options.data_dir, error)};
    // A lock of its own, so that this class is safe without the gateway's.
    auto lock = DataDirLock::acquire(options.data_dir, "postgres.lock");
    if (!lock) return std::unexpected(lock.error());
    auto server = std::make_unique<Server>(std::move(options), *std::move(lock), layout);
    if (auto started = server->start(); !started) return std::unexpected(started.error());
    return std::unique_ptr<EmbeddedPostgres>(new EmbeddedPostgres(std::move(server)));
}

EmbeddedPostgres::EmbeddedPostgres(std::unique_ptr<Server> server) : server_(std::move(server)) {}
EmbeddedPostgres::~EmbeddedPostgres() = default;

std::string EmbeddedPostgres::owner_url() const {
    return conninfo(owner_role, database_name);
}
std::string EmbeddedPostgres::runtime_url() const {
    return conninfo(runtime_role, database_name);
}
std::string EmbeddedPostgres::conninfo(std::string_view user, std::string_view database) const {
    return server_->conninfo(user, database);
}
std::filesystem::path EmbeddedPostgres::socket_directory() const {
    return server_->socket_directory();
}
pid_t EmbeddedPostgres::pid() const noexcept {
    return server_->pid();
}
void EmbeddedPostgres::stop() {
    server_->stop();
}

std::expected<bool, std::string> EmbeddedPostgres::stop_orphan(const std::filesystem::path& data_dir) {
    const Layout layout{.data_dir = data_dir};
    const auto lock = DataDirLock::acquire(data_dir, "postgres.lock");
    if (!lock) return std::unexpected(lock.error());
    const FileDescriptor directory{::open(layout.cluster().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory) return false;
    return stop_leftovers(directory.get(), Duration{10'000});
}

}  // namespace nomiqon
