#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fair_queue.h"
#include "nomiqon/ledger/ledger.h"
#include "pending.h"

namespace nomiqon::ledger {

using Steady = std::chrono::steady_clock;
using ReserveResult = std::expected<ReserveAnswer, LedgerError>;

/// A day that nobody knows: the reservation's answer was lost, and the database finds it by its transaction.
inline constexpr Day unknown_day{};

struct ReserveRequest {
    ReserveCommand command;
    std::shared_ptr<Pending<ReserveResult>> pending;
    std::string encoded{};  ///< as it will be sent, where that is known already (wire.h)
};

/// What one transaction does: the endings first, which give money back, then the requests, which may need it.
/// Both sorted by agent, in the order of arrival within one; a transaction ends at most once in a batch.
struct Batch {
    std::vector<EndCommand> endings;
    std::vector<ReserveRequest> requests;
    [[nodiscard]] bool empty() const { return endings.empty() && requests.empty(); }
    [[nodiscard]] std::size_t size() const { return endings.size() + requests.size(); }
};

/// What the database answered to an ending.
enum class EndOutcome : std::uint8_t {
    ended,
    already_ended,
    corrected,  ///< it had expired and was settled in full: now it is what it really cost
    not_found,
};

/// The answers to a batch, in its order.
struct BatchAnswer {
    std::vector<EndOutcome> endings;
    std::vector<ReserveAnswer> requests;
};

/// What waits for one connection, and what its next transaction is. No database, no thread, no clock of its
/// own: a worker drives it against PostgreSQL, the simulation against a model of it. Not thread-safe.
///
/// Several batches may be under way at once: the answer of one is delivered while the next is with the
/// database.
///
/// The life of a request: queued → in a batch → answered; or, when only held money stands in its way, parked
/// until some of its agent's money comes back or its time is over, and then tried again, before whoever came
/// later.
class Batcher {
  public:
    struct Limits {
        std::size_t queue = 4096;  ///< requests that wait to be tried, and as many that are parked
        std::size_t batch = 128;   ///< requests, and endings, in one transaction
    };
    struct Counters {
        std::uint64_t reserved = 0, refused = 0, ended = 0, corrected = 0;
        std::uint64_t overloaded = 0, unavailable = 0;
    };
    explicit Batcher(Limits limits) : limits_(limits), queue_(limits.queue) {}

    /// Queues a request. Where there is no room, the agent that takes most of it is answered `overloaded`.
    void submit(ReserveRequest request);
    /// Queues an ending. Unbounded: every ending belongs to a reservation that was granted.
    void submit(EndCommand ending);
    /// Money of this agent came back on another gateway.
    void freed(const std::string& agent);

    /// The next transaction; empty when there is nothing to do. `with_endings` is false while the database is
    /// known to be away: endings wait, requests are about to be refused.
    [[nodiscard]] Batch take(Steady::time_point now, bool with_endings = true);
    /// Whether `take` would find a request at `now`.
    [[nodiscard]] bool has_request(Steady::time_point now) const;
    [[nodiscard]] bool has_ending() const { return !endings_.empty(); }
    /// When the first parked request has to be answered; `max` when none is parked.
    [[nodiscard]] Steady::time_point next_due() const;

    /// The batch was committed, and this is the answer. What was reserved for somebody who has given up
    /// meanwhile is released.
    void deliver(Batch batch, const BatchAnswer& answer, Steady::time_point now);
    /// The batch was not committed, as far as anybody knows: requests are answered `unavailable`, endings are
    /// queued again (ending twice is harmless, losing one is not). For requests that may have been committed,
    /// `may_be_committed`, answers the releases that are to be handed in once their session is certainly
    /// over.
    [[nodiscard]] std::vector<EndCommand> give_up(Batch batch, bool may_be_committed);
    /// The database refused this very batch, of one ending or one request. An ending is dropped: it will
    /// expire with the lease.
    void reject(const Batch& batch);
    /// Each of the batch's endings and requests alone, when one of them made the database refuse all.
    [[nodiscard]] std::vector<Batch> split(Batch batch);
    /// Answers everything that waits `unavailable`; answers how many endings are left over.
    std::size_t close();

    /// The oldest transaction that may be held: of a request that is being served, or a reservation whose
    /// ending isn't in the database yet.
    [[nodiscard]] std::optional<TransactionId> oldest_open() const {
        return open_.empty() ? std::nullopt : std::optional{*open_.begin()};
    }
    [[nodiscard]] std::size_t waiting() const { return queue_.size() + parked_count_; }
    [[nodiscard]] std::size_t endings_waiting() const { return endings_.size(); }
    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    struct Parked {
        ReserveRequest request;
        ReserveAnswer answer;  // that it gets when nothing better comes
    };
    using ParkedLine = std::deque<Parked>;

    [[nodiscard]] bool may_park(const ReserveRequest& request, const ReserveAnswer& reply,
                                Steady::time_point now) const;
    void park(ReserveRequest request, ReserveAnswer reply);
    void batch_is_over();
    void take_unless_abandoned(Batch& batch, ReserveRequest request);
    void take_endings(Batch& batch);
    void take_parked(Batch& batch, Steady::time_point now);
    void take_line(Batch& batch, ParkedLine& line);
    void answer(const ReserveRequest& request, const ReserveAnswer& answer);
    void refuse(const ReserveRequest& request, LedgerError error);

    const Limits limits_;
    FairQueue<ReserveRequest> queue_;
    std::deque<EndCommand> endings_;
    std::unordered_map<std::string, ParkedLine> parked_;  // by agent
    std::size_t parked_count_ = 0;
    std::unordered_set<std::string> freed_;  // agents that have something parked and got money back
    // While batches are under way: agents that got money back, for requests that are about to be parked.
    std::unordered_set<std::string> freed_meanwhile_;
    std::size_t under_way_ = 0;  // batches that were taken and not answered yet
    std::set<TransactionId> open_;
    Counters counters_;
};

}  // namespace nomiqon::ledger
