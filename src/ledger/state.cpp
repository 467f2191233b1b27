#include "state.h"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <iterator>
#include <pqxx/nontransaction>

namespace nomiqon::ledger {
namespace {

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string{name.data()}
                                                            : std::string{"unknown"};
}

}  // namespace

bool RefusalQueue::push(RefusalRecord record) {
    const std::scoped_lock lock{mutex_};
    if (records_.size() >= bound_) return false;
    records_.push_back(std::move(record));
    return true;
}

std::vector<RefusalRecord> RefusalQueue::take(std::size_t most) {
    const std::scoped_lock lock{mutex_};
    const auto end = records_.begin() + static_cast<std::ptrdiff_t>(std::min(most, records_.size()));
    std::vector<RefusalRecord> taken{std::make_move_iterator(records_.begin()), std::make_move_iterator(end)};
    records_.erase(records_.begin(), end);
    return taken;
}

void RefusalQueue::put_back(std::vector<RefusalRecord> records) {
    const std::scoped_lock lock{mutex_};
    records_.insert(records_.begin(), std::make_move_iterator(records.begin()),
                    std::make_move_iterator(records.end()));
}

State::State(PostgresLedger::Options opts, std::shared_ptr<spdlog::logger> logger)
    : options(std::move(opts)), log(std::move(logger)), refusals(options.refusals) {}

Target State::target() const {
    const std::scoped_lock lock{mutex_};
    return target_;
}

void State::set_target(Target target) {
    const std::scoped_lock lock{mutex_};
    target_ = std::move(target);
}

std::string State::gateway() const {
    const std::scoped_lock lock{mutex_};
    return gateway_.str();
}

void State::set_oldest_open(std::function<std::optional<TransactionId>()> oldest_open) {
    const std::scoped_lock lock{mutex_};
    oldest_open_ = std::move(oldest_open);
}

// What this gateway may hold is no older than this, now and until the next renewal. Read before the workers
// are asked: what they get meanwhile is younger, but for the moment between a transaction's id and its
// submission.
std::string State::oldest_open() const {
    constexpr std::chrono::minutes moment{1};
    std::function<std::optional<TransactionId>()> oldest_open;
    {
        const std::scoped_lock lock{mutex_};
        oldest_open = oldest_open_;
    }
    const auto from_now = TransactionId::first_at(std::chrono::system_clock::now() - moment);
    if (!oldest_open) return {};
    const std::optional<TransactionId> oldest = oldest_open();
    return oldest ? std::min(*oldest, from_now).str() : from_now.str();
}

void State::renew_lease(pqxx::connection& connection) {
    const std::scoped_lock renewing{lease_mutex_};
    const std::string lease = fmt::format("{} ms", options.lease.count());
    pqxx::nontransaction tx{connection};
    while (true) {
        const auto row =
            tx.exec_prepared1("renew_lease", gateway(), host_name(), options.version, lease, oldest_open());
        if (row[0].as<bool>()) return;
        const std::scoped_lock lock{mutex_};
        const GatewayId old = std::exchange(gateway_, GatewayId::generate());
        log->warn("the lease of {} was lost; going on as {}", old.str(), gateway_.str());
    }
}

void State::contact(bool well, std::string_view why) {
    const Contact now = well ? Contact::well : Contact::lost;
    if (contact_.exchange(now) == now) return;
    if (well) {
        log->info("the database answers");
    } else {
        log->error("the database is away, requests are refused until it answers: {}", why);
    }
}

void State::doubt(Doubt doubt) {
    const std::scoped_lock lock{mutex_};
    doubts_.push_back(std::move(doubt));
}

std::vector<Doubt> State::take_doubts() {
    const std::scoped_lock lock{mutex_};
    return std::exchange(doubts_, {});
}

std::size_t State::doubts() const {
    const std::scoped_lock lock{mutex_};
    std::size_t sum = 0;
    for (const Doubt& doubt : doubts_)
        sum += doubt.releases.size();
    return sum;
}

void State::keep_price_book(PriceBookText book) {
    const std::scoped_lock lock{mutex_};
    price_book_ = std::move(book);
}

std::optional<PriceBookText> State::take_price_book() {
    const std::scoped_lock lock{mutex_};
    return std::exchange(price_book_, std::nullopt);
}

}  // namespace nomiqon::ledger
