#include "upgrade.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "worker.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

class Duplex final : public std::enable_shared_from_this<Duplex> {
  public:
    Duplex(Session& session, UpgradeBounds bounds)
        : session_(session),
          worker_(session.worker()),
          until_(std::chrono::steady_clock::now() + bounds.time),
          bytes_left_(bounds.bytes),
          inward_ended_(worker_.io, asio::steady_timer::time_point::max()) {}

    asio::awaitable<void> run(std::string to_client) {
        arm();
        const std::size_t sent = co_await session_.send(session_.client(), to_client);
        if (sent < to_client.size()) co_return;
        inward_ = true;
        asio::co_spawn(worker_.io,
                       pump(session_.upstream(), session_.client(), worker_.counters.bytes_to_client),
                       [self = shared_from_this(),
                        session = session_.shared_from_this()](const std::exception_ptr& problem) {
                           self->inward_ = false;
                           if (problem) self->end();
                           self->inward_ended_.cancel();
                       });
        const bool early = co_await send_early();
        if (early) co_await pump(session_.client(), session_.upstream(), worker_.counters.bytes_to_upstream);
        while (inward_)
            co_await inward_ended_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

  private:
    /// What the client sent behind its request.
    asio::awaitable<bool> send_early() {
        const std::string early = std::exchange(session_.unread, {});
        const bool allowed = spend(early.size());
        const std::size_t sent = allowed ? co_await session_.send(session_.upstream(), early) : 0;
        if (!allowed || sent < early.size()) end();
        co_return allowed&& sent == early.size();
    }

    asio::awaitable<void> pump(Channel& from, Channel& to, Counter& counter) {
        Channel::State wait = Channel::State::wait_read;
        while (!ended_) {
            const bool ready = wait == Channel::State::wait_read ? co_await session_.readable(from)
                                                                 : co_await session_.wait_for(from, wait);
            if (!ready || ended_) co_return end();
            const Channel::Result read = from.read(worker_.buffer);
            wait = read.state;
            if (wait == Channel::State::wait_read || wait == Channel::State::wait_write) continue;
            if (wait == Channel::State::ended) co_return to.shut_down();
            if (wait == Channel::State::failed || !spend(read.bytes)) co_return end();
            wait = Channel::State::wait_read;
            counter.add(read.bytes);
            arm();
            // The buffer is everybody's as soon as this coroutine waits.
            const std::string_view bytes(worker_.buffer.data(), read.bytes);
            const Channel::Result written = to.write(bytes);
            if (written.bytes == bytes.size()) continue;
            const std::string rest(bytes.substr(written.bytes));
            const std::size_t sent = co_await session_.send(to, rest);
            if (sent < rest.size()) co_return end();
        }
    }

    void arm() {
        const auto left = std::chrono::ceil<Duration>(until_ - std::chrono::steady_clock::now());
        session_.arm(std::clamp(left, Duration::zero(), worker_.shared.timeouts.idle_timeout));
    }
    bool spend(std::size_t bytes) {
        if (bytes > bytes_left_) return false;
        bytes_left_ -= bytes;
        return true;
    }
    /// Wakes the other direction too.
    void end() {
        ended_ = true;
        session_.client().make_reset();
        boost::system::error_code ignored;
        session_.client().socket().cancel(ignored);
        session_.upstream().socket().cancel(ignored);
    }

    Session& session_;
    Worker& worker_;
    std::chrono::steady_clock::time_point until_;
    std::uint64_t bytes_left_;
    bool inward_ = false;
    bool ended_ = false;
    asio::steady_timer inward_ended_;  // never expires; cancelled as the signal
};

}  // namespace

bool is_websocket(const HeaderFields& headers) {
    const HeaderField* field = find_field(headers, "Upgrade");
    return field != nullptr && iequals(field->value, "websocket");
}

asio::awaitable<void> relay_upgraded(Session& session, UpgradeBounds bounds, std::string to_client) {
    const auto duplex = std::make_shared<Duplex>(session, bounds);
    co_await duplex->run(std::move(to_client));
}

}  // namespace nomiqon::proxy
