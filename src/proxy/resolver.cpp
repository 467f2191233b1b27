#include "resolver.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

using Answer = std::expected<Addresses, ResolveError>;

/// One session that waits for a name. Everything but `executor` is touched on the session's own thread only.
struct Waiter {
    explicit Waiter(asio::any_io_executor waiting_on) : executor(std::move(waiting_on)), timer(executor) {}
    asio::any_io_executor executor;
    asio::steady_timer timer;
    std::optional<Answer> answer;
};

struct FreeAddrinfo {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

Answer ask_system(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* raw = nullptr;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &raw) != 0) return std::unexpected(ResolveError::failed);
    const std::unique_ptr<addrinfo, FreeAddrinfo> list(raw);

    // An answer of thousands of addresses is somebody's attack; nobody tries more than a few.
    constexpr std::size_t max_addresses = 32;
    Addresses addresses;
    for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
        const auto address = address_of(entry->ai_addr);
        if (!address || std::ranges::find(addresses, *address) != addresses.end()) continue;
        addresses.push_back(*address);
        if (addresses.size() == max_addresses) break;
    }
    if (addresses.empty()) return std::unexpected(ResolveError::failed);
    return addresses;
}

}  // namespace

std::optional<IpAddress> address_of(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, address, sizeof in);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
        return IpAddress::v4(bytes);
    }
    if (address->sa_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, address, sizeof in);
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
        return IpAddress::v6(bytes);
    }
    return std::nullopt;
}

/// Shared with the threads: a getaddrinfo(3) that hangs can't be interrupted, so that a thread may outlive
/// the Resolver; it then finds `closed`, and touches nothing but this.
struct Resolver::State {
    explicit State(Limits given) : limits(given) {}
    const Limits limits;
    std::mutex mutex;
    std::condition_variable work, ended;
    std::deque<std::string> queue;
    std::unordered_map<std::string, std::vector<std::shared_ptr<Waiter>>>
        waiters;  // of names waiting or under way
    unsigned running = 0;
    bool closed = false;

    void forget(const std::string& host, const std::shared_ptr<Waiter>& waiter) {
        const std::lock_guard lock(mutex);
        if (const auto found = waiters.find(host); found != waiters.end()) std::erase(found->second, waiter);
    }

    void run() {
        std::unique_lock lock(mutex);
        while (true) {
            work.wait(lock, [this] { return closed || !queue.empty(); });
            if (closed) break;
            const std::string host = std::move(queue.front());
            queue.pop_front();
            if (waiters[host].empty()) {  // all who asked have given up
                waiters.erase(host);
                continue;
            }
            lock.unlock();
            const Answer answer = ask_system(host);
            lock.lock();
            if (closed) break;
            hand_out(host, answer);
        }
        --running;
        ended.notify_all();
    }

    /// Under the mutex: who is in `waiters` takes itself out under it too, so its executor is still alive
    /// here.
    void hand_out(const std::string& host, const Answer& answer) {
        for (const auto& waiter : waiters[host]) {
            asio::post(waiter->executor, [weak = std::weak_ptr(waiter), answer] {
                if (const auto alive = weak.lock()) {
                    alive->answer = answer;
                    alive->timer.cancel();
                }
            });
        }
        waiters.erase(host);
    }
};

Resolver::Resolver(Limits limits) : state_(std::make_shared<State>(limits)) {
    for (unsigned i = 0; i < limits.threads; ++i) {
        {
            const std::lock_guard lock(state_->mutex);
            ++state_->running;
        }
        std::thread([state = state_] { state->run(); }).detach();
    }
}

Resolver::~Resolver() {
    std::unique_lock lock(state_->mutex);
    state_->closed = true;
    state_->work.notify_all();
    state_->ended.wait_for(lock, std::chrono::seconds(1), [this] { return state_->running == 0; });
}

asio::awaitable<std::expected<Addresses, ResolveError>> Resolver::lookup(std::string host, Duration timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto waiter = std::make_shared<Waiter>(executor);
    waiter->timer.expires_after(timeout);
    {
        const std::lock_guard lock(state_->mutex);
        if (const auto known = state_->waiters.find(host); known != state_->waiters.end()) {
            known->second.push_back(waiter);
        } else {
            if (state_->waiters.size() >= state_->limits.names)
                co_return std::unexpected(ResolveError::overloaded);
            state_->waiters[host].push_back(waiter);
            state_->queue.push_back(host);
            state_->work.notify_one();
        }
    }
    co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    state_->forget(host, waiter);
    if (!waiter->answer) co_return std::unexpected(ResolveError::timeout);
    co_return *waiter->answer;
}

const Addresses* DnsCache::find(const std::string& host, std::chrono::steady_clock::time_point now) const {
    const auto found = names_.find(host);
    return found == names_.end() || found->second.expires <= now ? nullptr : &found->second.addresses;
}

void DnsCache::put(const std::string& host, Addresses addresses, std::chrono::steady_clock::time_point now) {
    if (entries_ == 0) return;
    if (names_.size() >= entries_ && !names_.contains(host)) {
        std::erase_if(names_, [now](const auto& entry) { return entry.second.expires <= now; });
        if (names_.size() >= entries_) names_.erase(names_.begin());
    }
    names_[host] = Entry{.addresses = std::move(addresses), .expires = now + ttl_};
}

}  // namespace nomiqon::proxy
