#include "database.h"

#include <libpq-fe.h>
#include <filesystem>

#include "nomiqon/admin/admin_server.h"
#include "nomiqon/ledger/migrations.h"

namespace nomiqon::gateway {
namespace {

constexpr std::chrono::seconds retry_every{1};
constexpr Duration connect_timeout{10'000};

}  // namespace

Database::Database(const Config& config, ledger::PostgresLedger& ledger, std::shared_ptr<spdlog::logger> log)
    : config_(config), ledger_(ledger), log_(std::move(log)) {}

Database::~Database() {
    stop();
}

std::expected<void, std::string> Database::bring_up(std::function<void(std::string)> failed) {
    if (config_.database.url.empty()) {
        auto started = EmbeddedPostgres::start({.data_dir = config_.data_dir, .log = log_});
        if (!started) return std::unexpected{started.error()};
        embedded_ = std::move(*started);
        return prepare();
    }
    if (is_reachable()) {
        const auto prepared = prepare_unless_it_dies();
        if (!prepared) return std::unexpected{prepared.error()};
        if (*prepared) return {};
    }
    log_->error("the database can't be reached; requests are refused until it can");
    waiter_ = std::jthread{
        [this, failed = std::move(failed)](const std::stop_token& stop) { wait_for_it(stop, failed); }};
    return {};
}

void Database::stop() {
    waiter_.request_stop();
    if (waiter_.joinable()) waiter_.join();
    if (embedded_) embedded_->stop();
}

bool Database::is_reachable() const {
    const PGPing answer = PQping(config_.database.url.c_str());
    // A server that refuses the ping for its form (no such user, say) is there: its own error will say more.
    return answer == PQPING_OK || answer == PQPING_NO_ATTEMPT;
}

std::expected<void, std::string> Database::prepare() {
    const bool is_private = embedded_ != nullptr;
    const std::string owner_url = is_private ? embedded_->owner_url() : config_.database.url;
    const auto migrated = migrate(owner_url, embedded_migrations(), connect_timeout);
    if (!migrated) return std::unexpected{migrated.error()};
    for (const std::string& name : migrated->applied)
        log_->info("applied migration {}", name);

    const auto roles =
        ensure_roles(owner_url, is_private ? embedded_->runtime_url() : config_.database.runtime_url,
                     is_private ? RuntimeLogin::yes : RuntimeLogin::no);
    if (!roles) return std::unexpected{roles.error()};
    for (const std::string& warning : roles->warnings)
        log_->warn("{}", warning);

    ledger_.connect(roles->runtime_conninfo, roles->set_role);
    if (auto key = admin::ensure_first_api_key(config_, ledger_); !key) return std::unexpected{key.error()};
    if (!std::filesystem::exists(config_.data_dir / "admin.key")) {
        log_->info("no admin.key here: the gateway that came first to this database has it");
    }
    up_ = true;
    return {};
}

// A server that dies under our hands says something else when it is asked again; what it objects to, it
// repeats.
std::expected<bool, std::string> Database::prepare_unless_it_dies() {
    const auto prepared = prepare();
    if (prepared) return true;
    const auto again = prepare();
    if (again) return true;
    if (again.error() == prepared.error() && is_reachable()) return std::unexpected{again.error()};
    log_->warn("the database went away at the start: {}", prepared.error());
    return false;
}

void Database::wait_for_it(const std::stop_token& stop, const std::function<void(std::string)>& failed) {
    while (!stop.stop_requested()) {
        if (is_reachable()) {
            const auto prepared = prepare_unless_it_dies();
            if (!prepared) return failed(prepared.error());
            if (*prepared) return;
        }
        std::unique_lock lock{mutex_};
        wake_.wait_for(lock, stop, retry_every, [] { return false; });
    }
}

}  // namespace nomiqon::gateway
