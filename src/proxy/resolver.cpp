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

using Steady = std::chrono::steady_clock;

/// A failure that took longer is one of servers that don't answer: asking again at once would hold a thread
/// for as long.
constexpr Duration slow_failure{1000};

/// One session that waits for a name. Everything but `executor` is touched on the session's own thread only.
struct Waiter {
    explicit Waiter(asio::any_io_executor waiting_on) : executor(std::move(waiting_on)), timer(executor) {}
    asio::any_io_executor executor;
    asio::steady_timer timer;
    std::optional<ResolveAnswer> answer;
};

struct FreeAddrinfo {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

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

ResolveAnswer ask_system(const std::string& host) {
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

/// Shared with the threads: a getaddrinfo(3) that hangs can't be interrupted, so that a thread may outlive
/// the Resolver; it then finds `closed`, and touches nothing but this.
struct Resolver::State {
    struct Lookup {
        std::string agent;  // who started it, and is charged with it
        std::vector<std::shared_ptr<Waiter>> waiters;
        bool under_way = false;
    };
    struct Failure {
        ResolveError error;
        Steady::time_point until;
    };

    State(Limits given, Ask asking) : limits(given), ask(std::move(asking)) {}
    const Limits limits;
    const Ask ask;
    std::mutex mutex;
    std::condition_variable work, ended;
    std::deque<std::string> queue;
    std::unordered_map<std::string, Lookup> lookups;    // waiting or under way, by name
    std::unordered_map<std::string, unsigned> charged;  // how many of them, by agent
    std::unordered_map<std::string, Failure> failures;
    unsigned running = 0;
    bool closed = false;

    std::optional<ResolveError> enter(const AgentId& agent, const std::string& host,
                                      const std::shared_ptr<Waiter>& waiter);
    void leave(const std::string& host, const std::shared_ptr<Waiter>& waiter);
    void run();
    void hand_out(const std::string& host, const ResolveAnswer& answer);
    void remember_failure(const std::string& host, ResolveError error);
    void erase(const std::string& host);
};

/// Joins or starts the look-up of `host`; an error where that can't be.
std::optional<ResolveError> Resolver::State::enter(const AgentId& agent, const std::string& host,
                                                   const std::shared_ptr<Waiter>& waiter) {
    const std::lock_guard lock(mutex);
    if (const auto failure = failures.find(host); failure != failures.end()) {
        if (failure->second.until > Steady::now()) return failure->second.error;
        failures.erase(failure);
    }
    if (const auto known = lookups.find(host); known != lookups.end()) {
        known->second.waiters.push_back(waiter);
        return std::nullopt;
    }
    if (lookups.size() >= limits.names) return ResolveError::overloaded;
    const auto held = charged.find(agent.str());
    if ((held == charged.end() ? 0 : held->second) >= limits.per_agent) return ResolveError::overloaded;
    ++charged[agent.str()];
    lookups.emplace(host, Lookup{.agent = agent.str(), .waiters = {waiter}});
    queue.push_back(host);
    work.notify_one();
    return std::nullopt;
}

/// A waiter goes, with or without an answer.
void Resolver::State::leave(const std::string& host, const std::shared_ptr<Waiter>& waiter) {
    const std::lock_guard lock(mutex);
    const auto found = lookups.find(host);
    if (found == lookups.end() || std::erase(found->second.waiters, waiter) == 0) return;
    if (found->second.under_way) return remember_failure(host, ResolveError::timeout);
    if (!found->second.waiters.empty()) return;
    std::erase(queue, host);  // no thread has begun with it
    erase(host);
}

void Resolver::State::run() {
    std::unique_lock lock(mutex);
    while (true) {
        work.wait(lock, [this] { return closed || !queue.empty(); });
        if (closed) break;
        const std::string host = std::move(queue.front());
        queue.pop_front();
        lookups.at(host).under_way = true;
        lock.unlock();
        const auto begun = Steady::now();
        const ResolveAnswer answer = ask(host);
        lock.lock();
        if (closed) break;
        if (answer) {
            failures.erase(host);
        } else if (Steady::now() - begun >= slow_failure) {
            remember_failure(host, answer.error());
        }
        hand_out(host, answer);
    }
    --running;
    ended.notify_all();
}

/// Under the mutex: a waiter takes itself out under it too, so its executor is still alive here.
void Resolver::State::hand_out(const std::string& host, const ResolveAnswer& answer) {
    for (const auto& waiter : lookups.at(host).waiters) {
        asio::post(waiter->executor, [weak = std::weak_ptr(waiter), answer] {
            if (const auto alive = weak.lock()) {
                alive->answer = answer;
                alive->timer.cancel();
            }
        });
    }
    erase(host);
}

void Resolver::State::remember_failure(const std::string& host, ResolveError error) {
    // Each entry took a thread a second or more, so there are never many.
    const auto now = Steady::now();
    std::erase_if(failures, [now](const auto& entry) { return entry.second.until <= now; });
    failures.insert_or_assign(host, Failure{.error = error, .until = now + limits.failure});
}

void Resolver::State::erase(const std::string& host) {
    const auto lookup = lookups.find(host);
    const auto agent = charged.find(lookup->second.agent);
    if (--agent->second == 0) charged.erase(agent);
    lookups.erase(lookup);
}

Resolver::Resolver(Limits limits, Ask ask) : state_(std::make_shared<State>(limits, std::move(ask))) {
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

asio::awaitable<ResolveAnswer> Resolver::lookup(AgentId agent, std::string host, Duration timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto waiter = std::make_shared<Waiter>(executor);
    waiter->timer.expires_after(timeout);
    if (const auto error = state_->enter(agent, host, waiter)) co_return std::unexpected(*error);
    co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    state_->leave(host, waiter);
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
