#include "maintenance.h"

#include <pqxx/nontransaction>

#include "wire.h"

namespace nomiqon::ledger {
namespace {

constexpr Duration tick_every{200};
constexpr Duration ping_every{1000};
constexpr Duration forget_every{600'000};
constexpr Duration expire_at_least_every{5000};
constexpr std::size_t refusals_at_once = 500;
constexpr int expired_at_once = 500;

}  // namespace

Maintenance::Maintenance(State& state, std::function<void(EndCommand)> hand_in)
    : state_(state),
      hand_in_(std::move(hand_in)),
      session_("maintenance", state.options.timeout),
      thread_([this] { run(); }) {}

Maintenance::~Maintenance() {
    stop();
}

void Maintenance::watch(Duration limit) {
    if (busy_.elapsed() > limit) session_.interrupt();
}

void Maintenance::stop() {
    {
        const std::scoped_lock lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Maintenance::run() {
    bool last = false;
    while (!last) {
        {
            std::unique_lock lock{mutex_};
            wake_.wait_for(lock, tick_every, [this] { return stopping_; });
            last = stopping_;
        }
        if (state_.target().conninfo.empty()) continue;
        busy_.begin();
        try {
            pqxx::connection& connection = session_.open(state_.target());
            tick(connection);
            if (last) pqxx::nontransaction{connection}.exec_prepared("end_lease", state_.gateway());
        } catch (const std::exception& error) {
            const DatabaseError described = describe(error);
            if (described.failure == Failure::connection) {
                session_.close();
                state_.contact(false, described.message);
            } else {
                state_.log->error("maintenance failed: {} ({})", described.message, described.sqlstate);
            }
        }
        busy_.end();
    }
    session_.close();
}

void Maintenance::tick(pqxx::connection& connection) {
    const auto now = Steady::now();
    if (now >= renew_at_) {
        state_.renew_lease(connection);
        renew_at_ = now + state_.options.lease / 4;
    }
    if (now >= ping_at_) {
        pqxx::nontransaction{connection}.exec("select 1");
        state_.contact(true);
        ping_at_ = now + ping_every;
    }
    write_price_book(connection);
    write_refusals(connection);
    resolve_doubts(connection);
    if (now >= expire_at_) {
        expire(connection);
        expire_at_ = now + std::min(state_.options.lease / 4, expire_at_least_every);
    }
    if (now >= forget_at_) {
        pqxx::nontransaction{connection}.exec_prepared("forget_expired");
        forget_at_ = now + forget_every;
    }
}

void Maintenance::write_price_book(pqxx::connection& connection) {
    std::optional<PriceBookText> book = state_.take_price_book();
    if (!book) return;
    try {
        pqxx::nontransaction{connection}.exec_prepared("keep_price_book", book->version, book->document);
    } catch (const std::exception&) {
        state_.keep_price_book(std::move(*book));
        throw;
    }
}

void Maintenance::write_refusals(pqxx::connection& connection) {
    while (true) {
        std::vector<RefusalRecord> records = state_.refusals.take(refusals_at_once);
        if (records.empty()) return;
        auto rows = nlohmann::json::array();
        for (const RefusalRecord& record : records)
            rows.push_back(to_json(record));
        try {
            pqxx::nontransaction{connection}.exec_prepared("record_refusals", to_parameter(rows));
        } catch (const std::exception& error) {
            if (describe(error).failure == Failure::connection) {
                state_.refusals.put_back(std::move(records));
            } else {  // the rows themselves: counted, so that they don't stand in the way of the next
                state_.counters.refusals_dropped.fetch_add(records.size(), std::memory_order_relaxed);
            }
            throw;
        }
    }
}

void Maintenance::resolve_doubts(pqxx::connection& connection) {
    for (Doubt& doubt : state_.take_doubts()) {
        bool alive = true;
        try {
            alive = pqxx::nontransaction{connection}
                        .exec_prepared1("is_session_alive", doubt.session)[0]
                        .as<bool>();
        } catch (const std::exception&) {
            state_.doubt(std::move(doubt));
            throw;
        }
        if (alive) {
            state_.doubt(std::move(doubt));
        } else {
            for (EndCommand& release : doubt.releases)
                hand_in_(std::move(release));
        }
    }
}

void Maintenance::expire(pqxx::connection& connection) {
    int expired = expired_at_once;
    while (expired == expired_at_once) {
        expired = pqxx::nontransaction{connection}
                      .exec_prepared1("expire_reservations", expired_at_once)[0]
                      .as<int>();
        state_.counters.expired.fetch_add(static_cast<std::uint64_t>(expired), std::memory_order_relaxed);
        if (expired > 0)
            state_.log->warn("settled {} reservations of a gone gateway in full, as unknown", expired);
    }
}

}  // namespace nomiqon::ledger
