#include "admin_worker.h"

#include <pqxx/transaction>

#include "wire.h"

namespace nomiqon::ledger {
namespace {

constexpr std::size_t queue_bound = 256;
constexpr int attempts = 3;

// The SQLSTATEs that migrations/0003_admin.sql raises, in the API's terms.
std::string_view code_of(std::string_view sqlstate) {
    if (sqlstate == "NQ404") return "not_found";
    if (sqlstate == "NQ409") return "conflict";
    if (sqlstate == "NQ412") return "precondition_failed";
    if (sqlstate == "NQ422") return "validation_error";
    if (sqlstate == "NQ403") return "forbidden";
    return "internal_error";
}

/// What nomiqon.call_admin answered: a caller's mistake is a value there.
AdminWorker::Answer read_answer(const pqxx::result& rows) {
    auto document = nlohmann::json::parse(rows.at(0).at(0).c_str());
    if (const auto found = document.find("refusal"); found != document.end()) {
        return std::unexpected{
            AdminError{std::string{code_of(found->at("sqlstate").get_ref<const std::string&>())},
                       found->at("message").get<std::string>(), found->at("detail").get<std::string>()}};
    }
    return std::move(document.at("answer"));
}

bool is_function_name(std::string_view name) {
    return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos;
}

}  // namespace

bool AdminWorker::Queue::push(Call call) {
    {
        const std::scoped_lock lock{mutex_};
        if (stopping_ || calls_.size() >= queue_bound) return false;
        calls_.push_back(std::move(call));
    }
    work_.notify_one();
    return true;
}

std::optional<AdminWorker::Call> AdminWorker::Queue::pop() {
    std::unique_lock lock{mutex_};
    work_.wait(lock, [this] { return stopping_ || !calls_.empty(); });
    if (calls_.empty()) return std::nullopt;
    Call call = std::move(calls_.front());
    calls_.pop_front();
    return call;
}

void AdminWorker::Queue::stop() {
    {
        const std::scoped_lock lock{mutex_};
        stopping_ = true;
    }
    work_.notify_all();
}

AdminWorker::AdminWorker(State& state, Queue& queue)
    : state_(state),
      queue_(queue),
      session_("admin", state.options.admin_timeout),
      thread_([this] { run(); }) {}

void AdminWorker::watch(Duration limit) {
    if (busy_.elapsed() > limit) session_.interrupt();
}

void AdminWorker::stop(Duration grace) {
    const auto until = std::chrono::steady_clock::now() + grace;
    while (!ended_ && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(Duration{5});
    if (!ended_) session_.interrupt();
    if (thread_.joinable()) thread_.join();
}

void AdminWorker::run() {
    while (auto call = queue_.pop()) {
        if (call->pending->is_abandoned()) continue;
        busy_.begin();
        Answer result = answer(*call);
        busy_.end();
        // One that gave up has told its caller to look again; what was committed stands.
        [[maybe_unused]] const bool in_time = call->pending->answer(std::move(result));
    }
    session_.close();
    ended_ = true;
}

AdminWorker::Answer AdminWorker::answer(const Call& call) {
    if (!is_function_name(call.function)) {
        return std::unexpected{AdminError{"internal_error", "no such function", {}}};
    }
    const std::string statement = "select nomiqon.call_admin('" + call.function + "', $1::jsonb)::text";
    for (int tries = 1;; ++tries) {
        bool was_sent = false;
        try {
            pqxx::work tx{session_.open(state_.target())};
            was_sent = true;
            const pqxx::result rows = tx.exec_params(statement, to_parameter(call.arguments));
            tx.commit();
            state_.contact(true);
            return read_answer(rows);
        } catch (const std::exception& error) {
            const DatabaseError described = describe(error);
            if (described.failure == Failure::transient && tries < attempts) continue;
            if (described.failure == Failure::connection) {
                session_.close();
                // An idle connection may have died long ago; opening one anew is safe while nothing was sent.
                if (!was_sent && tries < attempts && state_.available()) continue;
                state_.contact(false, described.message);
                return std::unexpected{AdminError{"unavailable", "the database can't be reached", {}}};
            }
            state_.log->error("admin_{} failed: {} ({})", call.function, described.message,
                              described.sqlstate);
            return std::unexpected{
                AdminError{"internal_error", "the database refused this; see the gateway's log", {}}};
        }
    }
}

}  // namespace nomiqon::ledger
