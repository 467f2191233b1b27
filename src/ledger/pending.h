#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>

namespace nomiqon::ledger {

/// An answer that a ledger thread owes to a coroutine on an I/O thread, with a deadline. Exactly one of the
/// two decides: the thread that answers, or the coroutine that gave up. The coroutine's executor runs on one
/// thread.
///
/// The timer belongs to the coroutine's frame, not to this object: a ledger thread may hold this one last,
/// when the coroutine and its whole io_context are gone.
template <class T>
class Pending : public std::enable_shared_from_this<Pending<T>> {
  public:
    Pending(boost::asio::any_io_executor executor, std::chrono::steady_clock::time_point deadline)
        : executor_(std::move(executor)), deadline_(deadline) {}

    [[nodiscard]] bool is_abandoned() const {
        return state_.load(std::memory_order_acquire) == State::abandoned;
    }

    /// From the ledger's thread. False: the coroutine has given up, and the caller must undo what it did for
    /// it.
    [[nodiscard]] bool answer(T value) {
        if (!decide(State::answered)) return false;
        boost::asio::post(executor_, [self = this->shared_from_this(), value = std::move(value)]() mutable {
            self->value_.emplace(std::move(value));
            if (self->timer_ != nullptr) self->timer_->cancel();
        });
        return true;
    }

    /// From the coroutine: the answer, or nothing when the deadline passed first.
    boost::asio::awaitable<std::optional<T>> wait() {
        boost::asio::steady_timer timer{executor_, deadline_};
        const Waiting waiting{*this, timer};
        while (!value_) {
            co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
            if (value_) break;
            if (decide(State::abandoned)) co_return std::nullopt;
            timer.expires_at(
                std::chrono::steady_clock::time_point::max());  // answered: its handler is on the way
        }
        co_return std::move(value_);
    }

  private:
    enum class State : std::uint8_t { waiting, answered, abandoned };

    // While the coroutine waits. One that is destroyed meanwhile, with its io_context, has given up.
    class Waiting {
      public:
        Waiting(Pending& pending, boost::asio::steady_timer& timer) : pending_(pending) {
            pending_.timer_ = &timer;
        }
        ~Waiting() {
            pending_.timer_ = nullptr;
            pending_.decide(State::abandoned);
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;

      private:
        Pending& pending_;
    };

    bool decide(State state) {
        State expected = State::waiting;
        return state_.compare_exchange_strong(expected, state);
    }

    const boost::asio::any_io_executor executor_;
    const std::chrono::steady_clock::time_point deadline_;
    std::atomic<State> state_{State::waiting};
    boost::asio::steady_timer* timer_ = nullptr;  // on the coroutine's thread, as is the next
    std::optional<T> value_;
};

}  // namespace nomiqon::ledger
