#include "worker.h"

#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include "wire.h"

namespace nomiqon::ledger {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Duration retry_pause{200};   // between two tries to reach a database that is away
constexpr int transient_attempts = 5;  // deadlocks end with one victim each, so few are enough
constexpr std::size_t reads_at_once = 64;

class Busy {
  public:
    explicit Busy(BusySince& since) : since_(since) { since_.begin(); }
    ~Busy() { since_.end(); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

  private:
    BusySince& since_;
};

template <class T>
std::vector<T> take_front(std::deque<T>& queue, std::size_t most) {
    const auto end = queue.begin() + static_cast<std::ptrdiff_t>(std::min(most, queue.size()));
    std::vector<T> taken{std::make_move_iterator(queue.begin()), std::make_move_iterator(end)};
    queue.erase(queue.begin(), end);
    return taken;
}

EndCommand release_of(const ReserveCommand& command, Day day) {
    return {.transaction = command.transaction,
            .agent = command.agent,
            .day = day,
            .ending = Ending::released,
            .amount = {},
            .unknown = false,
            .reason = std::string{info(RefusalCode::ledger_unavailable).name},
            .model = {}};
}

}  // namespace

Worker::Worker(State& state, std::string name)
    : state_(state), session_(std::move(name), state.options.timeout), thread_([this] { run(); }) {}

Worker::~Worker() {
    stop(Steady::now());
}

bool Worker::submit(Request request) {
    {
        const std::scoped_lock lock{mutex_};
        if (stopping_ || requests_.size() >= state_.options.queue) return false;
        requests_.push_back(std::move(request));
    }
    work_.notify_one();
    return true;
}

bool Worker::submit(Read read) {
    {
        const std::scoped_lock lock{mutex_};
        if (stopping_ || reads_.size() >= state_.options.queue) return false;
        reads_.push_back(std::move(read));
    }
    work_.notify_one();
    return true;
}

void Worker::submit(EndCommand command) {
    {
        // No bound of its own: every ending belongs to a reservation that was granted.
        const std::scoped_lock lock{mutex_};
        endings_.push_back(std::move(command));
    }
    work_.notify_one();
}

void Worker::stop(Steady::time_point deadline) {
    {
        const std::scoped_lock lock{mutex_};
        stopping_ = true;
        stop_at_ = deadline;
    }
    work_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Worker::watch(Duration limit) {
    if (busy_.elapsed() > limit) session_.interrupt();
}

std::size_t Worker::waiting() const {
    const std::scoped_lock lock{mutex_};
    return requests_.size() + reads_.size();
}

std::size_t Worker::endings_waiting() const {
    const std::scoped_lock lock{mutex_};
    return endings_.size();
}

void Worker::run() {
    Batch batch;
    while (take(batch)) {
        run_reads(batch.reads);
        if (!batch.endings.empty() || !batch.requests.empty()) run_batch(std::move(batch));
        batch = {};
    }
    const std::scoped_lock lock{mutex_};
    if (!endings_.empty()) {
        state_.log->error("{} endings could not be handed in: they expire with the lease, settled in full",
                          endings_.size());
    }
    std::vector<Request> left = take_front(requests_, requests_.size());
    refuse(left);
    for (const Read& read : take_front(reads_, reads_.size()))
        read(nullptr);
    session_.close();
}

bool Worker::take(Batch& batch) {
    std::unique_lock lock{mutex_};
    while (true) {
        const auto now = Steady::now();
        const bool asked = !requests_.empty() || !reads_.empty();
        if (stopping_ && !asked && (endings_.empty() || now >= stop_at_)) return false;
        // While the database is away, requests are refused at once; endings wait for the next try.
        const bool away = now < retry_at_;
        if (asked || (!endings_.empty() && !away)) {
            batch.reads = take_front(reads_, reads_at_once);
            batch.requests = take_front(requests_, state_.options.batch);
            if (!away) batch.endings = take_front(endings_, state_.options.batch);
            return true;
        }
        if (endings_.empty()) {
            work_.wait(lock);
        } else {
            work_.wait_until(lock, stopping_ ? std::min(retry_at_, stop_at_) : retry_at_);
        }
    }
}

void Worker::run_reads(std::vector<Read>& reads) {
    for (Read& read : reads) {
        pqxx::connection* connection = nullptr;
        if (Steady::now() >= retry_at_) {
            const Busy busy{busy_};
            try {
                connection = &session_.open(state_.target());
                read(connection);
                state_.contact(true);
                continue;
            } catch (const std::exception& error) {
                const DatabaseError described = describe(error);
                if (described.failure == Failure::connection) {
                    session_.close();
                    retry_at_ = Steady::now() + retry_pause;
                    state_.contact(false, described.message);
                } else {
                    state_.log->error("a look-up failed: {} ({})", described.message, described.sqlstate);
                }
            }
        }
        read(nullptr);
    }
}

void Worker::forget_abandoned(std::vector<Request>& requests) const {
    std::erase_if(requests, [](const Request& request) { return request.pending->is_abandoned(); });
}

void Worker::run_batch(Batch batch) {
    forget_abandoned(batch.requests);
    if (Steady::now() < retry_at_) {
        refuse(batch.requests);
        const std::scoped_lock lock{mutex_};
        endings_.insert(endings_.begin(), batch.endings.begin(), batch.endings.end());
        return;
    }
    for (int tries = 1;; ++tries) {
        const Busy busy{busy_};
        bool was_sent = false;
        try {
            session_.open(state_.target());
            was_sent = true;
            attempt(batch);
            return;
        } catch (const std::exception& error) {
            const DatabaseError described = describe(error);
            const bool again = tries < transient_attempts;
            if (described.failure == Failure::transient && again) continue;
            if (described.failure == Failure::lease && again) {
                try {
                    state_.renew_lease(session_.open(state_.target()));
                    continue;
                } catch (const std::exception& renewing) {
                    give_up(std::move(batch), describe(renewing), false);
                    return;
                }
            }
            if (described.failure == Failure::statement && batch.endings.size() + batch.requests.size() > 1) {
                one_by_one(std::move(batch));
                return;
            }
            give_up(std::move(batch), described, was_sent);
            return;
        }
    }
}

void Worker::attempt(Batch& batch) {
    auto endings = nlohmann::json::array();
    for (const EndCommand& ending : batch.endings)
        endings.push_back(to_json(ending));
    auto requests = nlohmann::json::array();
    for (const Request& request : batch.requests)
        requests.push_back(to_json(request.command));

    pqxx::work tx{session_.open(state_.target())};
    const pqxx::result rows =
        tx.exec_prepared("work", state_.gateway(), to_parameter(endings), to_parameter(requests));
    if (rows.size() != batch.endings.size() + batch.requests.size()) {
        throw std::runtime_error{"the ledger answered another number of rows than it was asked"};
    }
    tx.commit();
    state_.contact(true);
    deliver(batch, rows);
}

void Worker::deliver(const Batch& batch, const pqxx::result& rows) {
    state_.counters.batches.fetch_add(1, std::memory_order_relaxed);
    pqxx::result::size_type at = 0;
    for (const EndCommand& ending : batch.endings) {
        const auto outcome = rows[at++]["outcome"].as<std::string>();
        if (outcome == "ended") state_.counters.ended.fetch_add(1, std::memory_order_relaxed);
        if (outcome == "already_ended") {
            state_.log->warn("{} had ended before its {} came", ending.transaction.str(),
                             ending.ending == Ending::settled ? "settlement" : "release");
        }
        state_.waiters.wake(ending.agent.str());
    }
    for (const Request& request : batch.requests) {
        const ReserveAnswer answer = to_answer(rows[at++], request.command);
        const auto* reserved = std::get_if<Reserved>(&answer);
        auto& counter = reserved != nullptr ? state_.counters.reserved : state_.counters.refused;
        counter.fetch_add(1, std::memory_order_relaxed);
        // Whoever asked has given up meanwhile: what was reserved for it goes back.
        if (!request.pending->answer(answer) && reserved != nullptr)
            submit(release_of(request.command, reserved->day));
    }
}

void Worker::one_by_one(Batch batch) {
    for (EndCommand& ending : batch.endings) {
        Batch single;
        single.endings.push_back(std::move(ending));
        run_batch(std::move(single));
    }
    for (Request& request : batch.requests) {
        Batch single;
        single.requests.push_back(std::move(request));
        run_batch(std::move(single));
    }
}

void Worker::give_up(Batch batch, const DatabaseError& error, bool was_sent) {
    if (error.failure == Failure::connection) {
        if (was_sent && !batch.requests.empty()) {
            Doubt doubt{.session = session_.identity(), .releases = {}};
            for (const Request& request : batch.requests) {
                doubt.releases.push_back(release_of(request.command, unknown_day));
            }
            state_.doubt(std::move(doubt));
        }
        session_.close();
        retry_at_ = Steady::now() + retry_pause;
        state_.contact(false, error.message);
    } else {
        state_.log->error("the database refused a statement: {} ({})", error.message, error.sqlstate);
    }
    // An ending is repeated until the database has it: ending twice is harmless, losing one is not.
    if (error.failure != Failure::statement) {
        const std::scoped_lock lock{mutex_};
        endings_.insert(endings_.begin(), batch.endings.begin(), batch.endings.end());
    }
    refuse(batch.requests);
}

void Worker::refuse(std::vector<Request>& requests) {
    for (const Request& request : requests) {
        state_.counters.unavailable.fetch_add(1, std::memory_order_relaxed);
        [[maybe_unused]] const bool in_time =
            request.pending->answer(std::unexpected{LedgerError::unavailable});
    }
}

}  // namespace nomiqon::ledger
