#include "reservations_stand.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <expected>
#include <pqxx/pqxx>
#include <stdexcept>
#include <system_error>

#include "nomiqon/ledger/migrations.h"

namespace nomiqon::bench {
namespace {

namespace fs = std::filesystem;

template <class T>
T must(std::expected<T, std::string> result) {
    if (!result) throw std::runtime_error(result.error());
    return std::move(*result);
}

fs::path make_directory() {
    std::string path = (fs::temp_directory_path() / "nomiqon-bench-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory: " + path);
    return path;
}

/// 64 clients and all gateways at once; and no checkpoint but those that are asked for. Durability is
/// untouched.
void make_room(const std::string& owner_url) {
    pqxx::connection connection(owner_url);
    pqxx::nontransaction session(connection);
    session.exec("alter system set max_connections = 200");
    session.exec("alter system set max_wal_size = '4GB'");
    session.exec("alter system set checkpoint_timeout = '1h'");
}

void require_durability(const std::string& owner_url) {
    pqxx::connection connection(owner_url);
    pqxx::nontransaction session(connection);
    for (const char* setting : {"fsync", "synchronous_commit", "full_page_writes"}) {
        if (session.exec1(std::string{"show "} + setting)[0].as<std::string>() != "on")
            throw std::runtime_error(fmt::format("{} is off: such figures would be worth nothing", setting));
    }
}

}  // namespace

Stand::Stand() : directory_(make_directory()) {
    try {
        const auto start = [&] { return must(EmbeddedPostgres::start({.data_dir = directory_})); };
        postgres_ = start();
        make_room(postgres_->owner_url());
        postgres_.reset();
        postgres_ = start();
        require_durability(postgres_->owner_url());
    } catch (...) {
        postgres_.reset();
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
        throw;
    }
}

Stand::~Stand() {
    // The server first: a gateway that stops properly gives its lease back, and the others would then settle
    // all that it left open.
    postgres_->stop();
    books_.clear();
    postgres_.reset();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
}

Book& Stand::make_book(const std::string& database, std::size_t agents, std::size_t gateways) {
    {
        pqxx::connection connection(owner_url());
        pqxx::nontransaction session(connection);
        session.exec("create database " + session.quote_name(database));
    }
    // Of a keyword that comes twice, libpq takes the last.
    const std::string chosen = fmt::format(" dbname='{}'", database);
    books_.push_back(std::make_unique<Book>(postgres_->owner_url() + chosen,
                                            postgres_->runtime_url() + chosen, agents, gateways, cpu()));
    return *books_.back();
}

void Stand::checkpoint() const {
    pqxx::connection connection(owner_url());
    pqxx::nontransaction{connection}.exec("checkpoint");
}

std::string Stand::describe() const {
    pqxx::connection connection(owner_url());
    pqxx::nontransaction session(connection);
    const auto show = [&](const std::string& setting) {
        return session.exec1("show " + setting)[0].as<std::string>();
    };
    return fmt::format(
        "PostgreSQL {}, fsync={}, synchronous_commit={}, full_page_writes={}, wal_sync_method={}",
        show("server_version"), show("fsync"), show("synchronous_commit"), show("full_page_writes"),
        show("wal_sync_method"));
}

}  // namespace nomiqon::bench
