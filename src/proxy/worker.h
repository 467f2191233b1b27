#pragma once

#include <spdlog/logger.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/intrusive/list.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "nomiqon/core/config.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/proxy/proxy.h"
#include "nomiqon/service/spend_authorizer.h"
#include "permits.h"
#include "resolver.h"
#include "upstream.h"

namespace nomiqon::proxy {

/// Whether a non-blocking call failed only for now.
[[nodiscard]] inline bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/// What all workers share: the configuration's part that never changes, and things that are thread-safe.
struct Shared {
    const Config::Limits limits;
    const Config::Upstream timeouts;           ///< its durations alone; the rest can be reloaded
    std::vector<ListenAddress> own_listeners;  ///< never connected to, whatever is allowed
    service::SpendAuthorizer& authorizer;
    const TlsParts tls;
    const bool cost_comment;  ///< `proxy.costComment`
    const std::shared_ptr<spdlog::logger> log;
    Resolver resolver{{.threads = limits.dns_threads, .per_agent = limits.dns_per_agent}};
    std::atomic<std::size_t> connections_open = 0;
    Drains drains{{.count = limits.drains, .time = limits.drain_time, .bytes = limits.drain_bytes}};
    BodyRoom body_room{limits.buffered_bytes};
    /// For what would keep a worker from its other connections: pricing a large body takes a second.
    boost::asio::thread_pool aside{std::max(2U, std::thread::hardware_concurrency() / 2)};
};

/// A count that one thread writes and any reads.
class Counter {
  public:
    void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void subtract(std::uint64_t n = 1) { add(~n + 1); }
    [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_ = 0;
};

struct Counters {
    Counter connections_accepted, connections_refused, connections_open, tunnels_open, requests;
    Counter bytes_to_upstream, bytes_to_client;
    Counter handshakes, handshakes_failed;  ///< of TLS with clients
    Counter metering_alarms;                ///< answers that the price book couldn't price
    std::array<Counter, refusal_code_count> refusals;
};

class Worker;

struct InIdleList;
/// Takes itself out of whichever list it is in.
using IdleHook = boost::intrusive::list_base_hook<boost::intrusive::tag<InIdleList>,
                                                  boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// A client's connection as its worker sees it: something with a deadline that can be told to stop. Made,
/// used and destroyed on the worker's thread.
class Connection : public boost::intrusive::list_base_hook<>, public IdleHook {
  public:
    explicit Connection(Worker& worker);
    virtual ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The deadline is over, or the drain's limit is. Called again at every tick for as long as the
    /// connection lives, so that no operation that begins just then is missed.
    virtual void expire() = 0;
    /// The worker drains: what has nothing under way ends now.
    virtual void drain() = 0;
    /// Only while it stands in a list of idle ones: ends it to make room. False: it has something to say by
    /// now.
    virtual bool evict() { return false; }
    /// Called about once a second, for what no operation under way would notice.
    virtual void inspect() {}

    /// From now. Replaces the deadline that was set before. Costs a store, so every packet may do it.
    void arm(Duration from_now);
    void disarm() { deadline_ = std::chrono::steady_clock::time_point::max(); }
    [[nodiscard]] bool expired() const { return expired_; }

  protected:
    Worker& worker_;

  private:
    friend class Worker;
    std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
    bool expired_ = false;
};

/// One thread of the proxy: its event loop and what its connections share. Everything here is touched on that
/// thread only, but for the counters, and `io`, to which anybody may post.
class Worker {
  public:
    static constexpr std::size_t buffer_bytes = 64 * 1024;
    /// Deadlines are looked at this often: one pass over the connections is cheaper than a timer for each.
    static constexpr Duration tick{200};
    static constexpr unsigned ticks_per_inspection = 5;

    Worker(Shared& shared_parts, std::shared_ptr<const UpstreamRules> upstream_rules,
           std::size_t pooled_connections);

    Shared& shared;
    boost::asio::io_context io{1};
    Counters counters;
    std::shared_ptr<const UpstreamRules> rules;
    DnsCache dns;
    UpstreamPool pool;
    /// For bytes between a read and the write that follows at once: nothing in it outlives a co_await.
    std::vector<char> buffer;
    bool draining = false;

    [[nodiscard]] std::chrono::steady_clock::time_point now() const { return now_; }  ///< as of the last tick
    void run();          ///< the thread's function
    void begin_drain();  ///< ends `run` when the last connection is gone
    void cut_all();      ///< from now on every connection is expired
    /// `connection` waits for a request: a new one may take its place. Who proved a token goes last.
    void idle_begins(Connection& connection, bool proven);
    void idle_ends(Connection& connection);
    /// Ends the connection that has been idle for longest. False: none is.
    bool evict_idle();
    /// Something in an answer that the operator must mend: the charge was made as high as it could be.
    void alarm(std::string_view request_id, std::string_view host, std::string_view what);
    void log_refusal(const Refusal& refusal, std::string_view request_id, std::string_view host);

  private:
    friend class Connection;
    void schedule_tick();
    void on_tick();
    void end();
    void joined(Connection& connection);
    void left(Connection& connection);

    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>,
                                      boost::asio::io_context::executor_type>
        timer_;
    using IdleList = boost::intrusive::list<Connection, boost::intrusive::base_hook<IdleHook>,
                                            boost::intrusive::constant_time_size<false>>;
    static bool evict_from(IdleList& idle);

    boost::intrusive::list<Connection, boost::intrusive::base_hook<boost::intrusive::list_base_hook<>>>
        connections_;
    IdleList unproven_idle_, proven_idle_;  // the longest idle first
    std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
    unsigned ticks_ = 0;
    bool ticking_ = false;
    bool cutting_ = false;
};

}  // namespace nomiqon::proxy
