#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>

namespace nomiqon::ledger {

/// An answer that a ledger thread owes to a coroutine on an I/O thread, with a deadline. Exactly one of the
/// two decides: the thread that answers, or the coroutine that gave up. The coroutine's executor runs on one
/// thread.
template <class T>
class Pending : public std::enable_shared_from_this<Pending<T>> {
  public:
    Pending(boost::asio::any_io_executor executor, std::chrono::steady_clock::time_point deadline)
        : timer_(std::move(executor), deadline), deadline_(deadline) {}

    [[nodiscard]] bool is_abandoned() const {
        return state_.load(std::memory_order_acquire) == State::abandoned;
    }
    [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }

    /// From the ledger's thread. False: the coroutine has given up, and the caller must undo what it did for
    /// it.
    [[nodiscard]] bool answer(T value) {
        State expected = State::waiting;
        if (!state_.compare_exchange_strong(expected, State::answered)) return false;
        boost::asio::post(timer_.get_executor(),
                          [self = this->shared_from_this(), value = std::move(value)]() mutable {
                              self->value_.emplace(std::move(value));
                              self->timer_.cancel();
                          });
        return true;
    }

    /// From the coroutine: the answer, or nothing when the deadline passed first.
    boost::asio::awaitable<std::optional<T>> wait() {
        while (true) {
            co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
            if (value_) co_return std::move(value_);
            State expected = State::waiting;
            if (state_.compare_exchange_strong(expected, State::abandoned)) co_return std::nullopt;
            timer_.expires_at(
                std::chrono::steady_clock::time_point::max());  // answered: its handler is on the way
        }
    }

  private:
    enum class State : std::uint8_t { waiting, answered, abandoned };
    boost::asio::steady_timer timer_;
    const std::chrono::steady_clock::time_point deadline_;
    std::atomic<State> state_{State::waiting};
    std::optional<T> value_;  // on the coroutine's thread
};

}  // namespace nomiqon::ledger
