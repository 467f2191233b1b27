#include "simulated_database.h"

namespace nomiqon::simulation {
namespace {

constexpr Micros message_takes{80};
constexpr Micros commit_takes{200};
constexpr Micros lock_retry{150};
constexpr Micros longest_lock_retry{20'000};
constexpr std::chrono::seconds longest_lock_wait{3};

}  // namespace

std::optional<SimulatedDatabase::Session> SimulatedDatabase::connect() {
    if (!up_) return std::nullopt;
    return ++sessions_;
}

void SimulatedDatabase::work(Session session, Work work, Reply reply) {
    if (!up_ || dead_.contains(session))
        return send(session, std::move(reply), std::unexpected{Failure::connection});
    running_of_.insert(session);
    const Place place = running_.insert(
        running_.end(), {session, std::move(work), std::move(reply), std::nullopt, world_.now()});
    world_.after(takes(message_takes), [this, life = life_, place] { begin(life, place); });
}

// A death has taken away the rest of whatever began before it.
void SimulatedDatabase::begin(std::uint64_t life, Place running) {
    if (life != life_) return;
    auto transaction = model_.prepare(running->work, world_.now());
    if (transaction) {
        running->transaction = std::move(*transaction);
        return world_.after(takes(commit_takes), [this, life, running] { commit(life, running); });
    }
    if (transaction.error() == ModelLedger::NotYet::lease_lapsed)
        return answer(running, std::unexpected{Failure::lease_lapsed});
    if (world_.now() - running->since > longest_lock_wait) {
        ++stats_.interrupted;
        return answer(running, std::unexpected{Failure::interrupted});
    }
    ++stats_.lock_waits;
    world_.after(std::min(takes(lock_retry), longest_lock_retry),
                 [this, life, running] { begin(life, running); });
}

void SimulatedDatabase::commit(std::uint64_t life, Place running) {
    if (life != life_) return;
    WorkAnswers answers = model_.commit(std::move(*running->transaction));
    running->transaction.reset();
    ++stats_.commits;
    on_commit(running->work);
    if (world_.random.one_in(500)) {  // the connection breaks under the answer
        ++stats_.lost_answers;
        dead_.insert(running->session);
        return answer(running, std::unexpected{Failure::connection});
    }
    answer(running, std::move(answers));
}

void SimulatedDatabase::answer(Place running, std::expected<WorkAnswers, Failure> answer) {
    running_of_.erase(running_of_.find(running->session));
    send(running->session, std::move(running->reply), std::move(answer));
    running_.erase(running);
}

void SimulatedDatabase::send(Session session, Reply reply, std::expected<WorkAnswers, Failure> answer) {
    world_.after(takes(message_takes), [this, session, life = life_, reply = std::move(reply),
                                        answer = std::move(answer)]() mutable {
        if (hung_up_.contains(session)) return;
        if (life != life_ && answer) {
            ++stats_.lost_answers;
            answer = std::unexpected{Failure::connection};
        }
        reply(std::move(answer));
    });
}

void SimulatedDatabase::die(Micros how_long) {
    if (!up_) return;
    up_ = false;
    ++life_;
    ++stats_.deaths;
    for (Running& running : running_) {
        if (running.transaction) {
            model_.abandon(*running.transaction);
            ++stats_.vanished;
        }
        send(running.session, std::move(running.reply), std::unexpected{Failure::connection});
    }
    running_.clear();
    running_of_.clear();
    dead_up_to_ = sessions_;
    world_.after(how_long, [this] { up_ = true; });
}

}  // namespace nomiqon::simulation
