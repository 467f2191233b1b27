#include "worker.h"

#include <pqxx/nontransaction>

#include "wire.h"

namespace nomiqon::ledger {
namespace {

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

}  // namespace

Worker::Worker(State& state, std::string name)
    : state_(state),
      session_(std::move(name), state.options.timeout),
      batcher_({.queue = state.options.queue, .batch = state.options.batch}),
      deliverer_([this](const std::stop_token& stop) { deliver_meanwhile(stop); }),
      thread_([this] { run(); }) {}

Worker::~Worker() {
    stop(Steady::now());
}

void Worker::submit(ReserveRequest request) {
    request.encoded = encode(request.command);
    {
        const std::scoped_lock lock{mutex_};
        batcher_.submit(std::move(request));
    }
    work_.notify_one();
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
        const std::scoped_lock lock{mutex_};
        batcher_.submit(std::move(command));
    }
    work_.notify_one();
}

void Worker::freed(const std::string& agent) {
    {
        const std::scoped_lock lock{mutex_};
        batcher_.freed(agent);
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
    deliverer_.request_stop();
    if (deliverer_.joinable()) deliverer_.join();
    // What was submitted after the thread's end.
    const std::scoped_lock lock{mutex_};
    batcher_.close();
}

void Worker::watch(Duration limit) {
    if (busy_.elapsed() > limit) session_.interrupt();
}

std::size_t Worker::waiting() const {
    const std::scoped_lock lock{mutex_};
    return batcher_.waiting() + reads_.size();
}

std::size_t Worker::endings_waiting() const {
    const std::scoped_lock lock{mutex_};
    return batcher_.endings_waiting();
}

Batcher::Counters Worker::counters() const {
    const std::scoped_lock lock{mutex_};
    return batcher_.counters();
}

std::optional<TransactionId> Worker::oldest_open() const {
    const std::scoped_lock lock{mutex_};
    return batcher_.oldest_open();
}

void Worker::run() {
    Work work;
    while (take(work)) {
        run_reads(work.reads);
        if (!work.batch.empty()) run_batch(std::move(work.batch));
        work = {};
    }
    const std::scoped_lock lock{mutex_};
    if (const std::size_t left = batcher_.close(); left > 0) {
        state_.log->error("{} endings could not be handed in: they expire with the lease, settled in full",
                          left);
    }
    for (const Read& read : take_front(reads_, reads_.size()))
        read(nullptr);
    session_.close();
}

bool Worker::take(Work& work) {
    std::unique_lock lock{mutex_};
    while (true) {
        const auto now = Steady::now();
        const bool asked = !reads_.empty() || batcher_.has_request(now);
        if (stopping_ && !asked && (!batcher_.has_ending() || now >= stop_at_)) return false;
        // While the database is away, requests are refused at once; endings wait for the next try.
        const bool away = now < retry_at_;
        if (asked || (batcher_.has_ending() && !away)) {
            work.reads = take_front(reads_, reads_at_once);
            work.batch = batcher_.take(now, !away);
            return true;
        }
        auto until = batcher_.next_due();
        if (batcher_.has_ending())
            until = std::min(until, stopping_ ? std::min(retry_at_, stop_at_) : retry_at_);
        if (until == Steady::time_point::max()) {
            work_.wait(lock);
        } else {
            work_.wait_until(lock, until);
        }
    }
}

void Worker::run_reads(std::vector<Read>& reads) {
    for (const Read& read : reads) {
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

void Worker::run_batch(Batch batch) {
    if (Steady::now() < retry_at_) {
        const std::scoped_lock lock{mutex_};
        [[maybe_unused]] const auto nothing_was_sent = batcher_.give_up(std::move(batch), false);
        return;
    }
    for (int tries = 1;; ++tries) {
        const Busy busy{busy_};
        bool was_sent = false;
        try {
            session_.open(state_.target());
            was_sent = true;
            const pqxx::result rows = attempt(batch);
            deliver(std::move(batch), rows);
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
            if (described.failure == Failure::statement && batch.size() > 1) {
                std::vector<Batch> singles;
                {
                    const std::scoped_lock lock{mutex_};
                    singles = batcher_.split(std::move(batch));
                }
                for (Batch& single : singles)
                    run_batch(std::move(single));
                return;
            }
            give_up(std::move(batch), described, was_sent);
            return;
        }
    }
}

// One statement, which is a transaction of its own: BEGIN and COMMIT would cost two more round trips.
pqxx::result Worker::attempt(const Batch& batch) {
    pqxx::nontransaction transaction{session_.open(state_.target())};
    const pqxx::result rows =
        send_work(transaction, session_.work_types(), state_.gateway(), batch, Steady::now());
    state_.contact(true);
    state_.counters.batches.fetch_add(1, std::memory_order_relaxed);
    return rows;
}

// The batch is committed. Where others wait already, they go first and the other thread tells this one's
// callers.
void Worker::deliver(Batch batch, const pqxx::result& rows) {
    bool others_wait = false;
    {
        const std::scoped_lock lock{mutex_};
        others_wait = batcher_.has_request(Steady::now());
    }
    if (!others_wait) return tell(std::move(batch), rows);
    {
        std::unique_lock lock{committed_mutex_};
        committed_changed_.wait(lock, [this] { return !committed_; });
        committed_.emplace(std::move(batch), rows);
    }
    committed_changed_.notify_all();
}

void Worker::deliver_meanwhile(const std::stop_token& stop) {
    while (true) {
        Committed committed;
        {
            std::unique_lock lock{committed_mutex_};
            if (!committed_changed_.wait(lock, stop, [this] { return committed_.has_value(); })) return;
            committed = std::move(*committed_);
            committed_.reset();
        }
        committed_changed_.notify_all();
        tell(std::move(committed.batch), committed.rows);
        work_.notify_one();
    }
}

void Worker::tell(Batch batch, const pqxx::result& rows) {
    std::optional<BatchAnswer> answer;
    try {
        answer = read_answer(rows, batch);
    } catch (const std::runtime_error& error) {
        state_.log->error("{}: its batch is refused, and what it reserved is released", error.what());
    }
    const std::scoped_lock lock{mutex_};
    if (answer) return batcher_.deliver(std::move(batch), *answer, Steady::now());
    for (EndCommand& release : batcher_.give_up(std::move(batch), true))
        batcher_.submit(std::move(release));
}

void Worker::give_up(Batch batch, const DatabaseError& error, bool was_sent) {
    if (error.failure == Failure::connection) {
        const std::string session = session_.identity();
        session_.close();
        retry_at_ = Steady::now() + retry_pause;
        state_.contact(false, error.message);
        std::vector<EndCommand> releases;
        {
            const std::scoped_lock lock{mutex_};
            releases = batcher_.give_up(std::move(batch), was_sent);
        }
        if (!releases.empty()) state_.doubt({.session = session, .releases = std::move(releases)});
        return;
    }
    state_.log->error("the database refused a statement: {} ({})", error.message, error.sqlstate);
    const std::scoped_lock lock{mutex_};
    if (error.failure == Failure::statement) {
        batcher_.reject(batch);
    } else {
        [[maybe_unused]] const auto nothing_was_committed = batcher_.give_up(std::move(batch), false);
    }
}

}  // namespace nomiqon::ledger
