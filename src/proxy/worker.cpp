#include "worker.h"

#include <exception>
#include <utility>

namespace nomiqon::proxy {

Connection::Connection(Worker& worker) : worker_(worker) {
    worker_.joined(*this);
}

Connection::~Connection() {
    worker_.left(*this);
}

void Connection::arm(Duration from_now) {
    expired_ = worker_.cutting_;
    // The worker's time is that of its last tick, which may be almost one tick ago.
    deadline_ = worker_.now_ + from_now + Worker::tick;
}

Worker::Worker(Shared& shared_parts, std::shared_ptr<const UpstreamRules> upstream_rules,
               std::size_t pooled_connections)
    : shared(shared_parts),
      rules(std::move(upstream_rules)),
      dns(shared_parts.limits.dns_entries, shared_parts.limits.dns_ttl),
      pool({.total = pooled_connections}),
      buffer(buffer_bytes),
      work_(io.get_executor()),
      timer_(io.get_executor()) {}

void Worker::run() {
    while (true) {
        try {
            io.run();
            return;
        } catch (const std::exception& problem) {  // of memory, at most: sessions handle their own
            shared.log->error("a handler failed: {}", problem.what());
        }
    }
}

void Worker::begin_drain() {
    draining = true;
    pool.clear();
    for (Connection& connection : connections_)
        connection.drain();
    if (connections_.empty()) end();
}

void Worker::end() {
    timer_.cancel();
    work_.reset();
}

void Worker::cut_all() {
    cutting_ = true;
    on_tick();
}

void Worker::log_refusal(const Refusal& refusal, std::string_view request_id, std::string_view host) {
    counters.refusals.at(static_cast<std::size_t>(refusal.code)).add();
    shared.log->info("refused {} request={} agent={} host={} detail={}", info(refusal.code).name, request_id,
                     refusal.agent.empty() ? "-" : refusal.agent, host, refusal.detail);
}

void Worker::alarm(std::string_view request_id, std::string_view host, std::string_view what) {
    counters.metering_alarms.add();
    shared.log->warn("metering alarm request={} host={}: {}", request_id, host, what);
}

void Worker::schedule_tick() {
    ticking_ = true;
    timer_.expires_after(tick);
    timer_.async_wait([this](boost::system::error_code error) {
        ticking_ = false;
        if (error) return;
        on_tick();
        if (!connections_.empty() || pool.size() > 0) schedule_tick();
    });
}

void Worker::on_tick() {
    now_ = std::chrono::steady_clock::now();
    pool.sweep(now_);
    // `expire` cancels operations, whose handlers run later: none takes itself out of the list here.
    const bool inspecting = ++ticks_ % ticks_per_inspection == 0;
    for (Connection& connection : connections_) {
        if (inspecting) connection.inspect();
        if (connection.deadline_ > now_ && !cutting_) continue;
        connection.expired_ = true;
        connection.expire();
    }
}

void Worker::idle_begins(Connection& connection, bool proven) {
    (proven ? proven_idle_ : unproven_idle_).push_back(connection);
}

void Worker::idle_ends(Connection& connection) {
    static_cast<IdleHook&>(connection).unlink();
}

bool Worker::evict_idle() {
    return evict_from(unproven_idle_) || evict_from(proven_idle_);
}

bool Worker::evict_from(IdleList& idle) {
    // Those with bytes to be read go to the end: they are about to leave the list, or to stay idle once read.
    constexpr int max_tries = 8;
    for (int i = 0; i < max_tries && !idle.empty(); ++i) {
        Connection& longest = idle.front();
        idle.pop_front();
        if (longest.evict()) return true;
        idle.push_back(longest);
    }
    return false;
}

void Worker::joined(Connection& connection) {
    if (!ticking_) {  // nothing has looked at the clock while there was nobody
        now_ = std::chrono::steady_clock::now();
        schedule_tick();
    }
    connections_.push_back(connection);
    counters.connections_open.add();
    shared.connections_open.fetch_add(1, std::memory_order_relaxed);
}

void Worker::left(Connection& connection) {
    idle_ends(connection);
    connections_.erase(connections_.iterator_to(connection));
    counters.connections_open.subtract();
    shared.connections_open.fetch_sub(1, std::memory_order_relaxed);
    if (draining && connections_.empty()) end();
}

}  // namespace nomiqon::proxy
