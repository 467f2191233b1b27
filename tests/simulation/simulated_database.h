#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "model_ledger.h"
#include "world.h"

namespace nomiqon::simulation {

/// The model behind a network and a server that fail: messages take time, transactions wait for locks and
/// take time to commit, connections break before or after the commit, the server dies (what is not committed
/// vanishes, what is committed stays) and comes back. One thread.
class SimulatedDatabase {
  public:
    enum class Failure : std::uint8_t {
        connection,    ///< nobody knows what became of it
        interrupted,   ///< waited too long for a lock; undone
        lease_lapsed,  ///< refused
    };
    using Reply = std::function<void(std::expected<WorkAnswers, Failure>)>;
    using Session = std::uint64_t;

    SimulatedDatabase(World& world, Fault fault) : world_(world), model_(fault) {}

    [[nodiscard]] ModelLedger& model() { return model_; }
    [[nodiscard]] bool is_up() const { return up_; }
    /// Nothing while it is down.
    [[nodiscard]] std::optional<Session> connect();
    /// The gateway gives the connection up. The server goes on with what it has begun.
    void hang_up(Session session) { hung_up_.insert(session); }
    /// Whether the server may still commit something of it.
    [[nodiscard]] bool is_alive(Session session) const { return running_of_.contains(session); }

    /// One transaction. `reply` is called once, unless the gateway hangs up.
    void work(Session session, Work work, Reply reply);
    /// What is committed, before anybody knows.
    std::function<void(const Work&)> on_commit = [](const Work&) {};

    void die(Micros how_long);
    /// From now on everything takes this many times as long.
    void slow_down(int factor) { slowness_ = factor; }

    struct Stats {
        std::uint64_t commits = 0, lost_answers = 0, deaths = 0, vanished = 0, lock_waits = 0,
                      interrupted = 0;
    };
    [[nodiscard]] const Stats& stats() const { return stats_; }

  private:
    struct Running {
        Session session;
        Work work;
        Reply reply;
        std::optional<ModelLedger::Transaction> transaction;  // once it has its locks
        Time since;
    };
    using Place = std::list<Running>::iterator;
    void begin(std::uint64_t life, Place running);
    void commit(std::uint64_t life, Place running);
    void answer(Place running, std::expected<WorkAnswers, Failure> answer);
    void send(Session session, Reply reply, std::expected<WorkAnswers, Failure> answer);
    Micros takes(Micros usual) { return world_.about(usual) * slowness_; }

    World& world_;
    ModelLedger model_;
    bool up_ = true;
    int slowness_ = 1;
    std::uint64_t life_ = 0;  // counts the deaths
    Session sessions_ = 0, dead_up_to_ = 0;
    std::set<Session> dead_, hung_up_;
    std::multiset<Session> running_of_;
    std::list<Running> running_;
    Stats stats_;
};

}  // namespace nomiqon::simulation
