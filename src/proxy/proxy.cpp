#include "nomiqon/proxy/proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "refusal_response.h"
#include "session.h"
#include "worker.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

constexpr Duration accept_back_off{100};

std::shared_ptr<const UpstreamRules> rules_of(const Config& config) {
    return std::make_shared<const UpstreamRules>(UpstreamRules{
        .guard = AddressGuard{config.upstream.allow_private}, .resolve = config.upstream.resolve});
}

/// A worker and its listener. The kernel spreads connections over the listeners of one port (SO_REUSEPORT).
class Lane {
  public:
    Lane(Shared& shared, std::shared_ptr<const UpstreamRules> rules, std::size_t pooled,
         const tcp::endpoint& endpoint)
        : worker(shared, std::move(rules), pooled), acceptor_(worker.io.get_executor()) {
        acceptor_.open(endpoint.protocol());
        acceptor_.set_option(Acceptor::reuse_address(true));
        acceptor_.set_option(ReusePort(true));
        acceptor_.bind(endpoint);
        acceptor_.listen(Acceptor::max_listen_connections);
    }

    void start() {
        asio::co_spawn(worker.io, accept_loop(), asio::detached);
        thread_ = std::thread([this] { worker.run(); });
    }
    /// No new work. From any thread.
    void begin_drain() {
        asio::post(worker.io, [this] {
            boost::system::error_code ignored;
            acceptor_.close(ignored);
            worker.begin_drain();
        });
    }
    void cut() {
        asio::post(worker.io, [this] { worker.cut_all(); });
    }
    void join() {
        if (thread_.joinable()) thread_.join();
    }
    [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

    Worker worker;

  private:
    asio::awaitable<void> accept_loop();
    void serve(Socket client);
    void turn_away(Socket client);

    Acceptor acceptor_;
    std::thread thread_;
};

asio::awaitable<void> Lane::accept_loop() {
    while (acceptor_.is_open()) {
        bool failed = false;
        try {
            auto [error, client] = co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
            if (!error) {
                serve(std::move(client));
            } else if (error != asio::error::operation_aborted && error != asio::error::connection_aborted) {
                worker.shared.log->warn("accepting failed: {}", error.message());
                failed = true;
            }
        } catch (const std::exception& problem) {
            worker.shared.log->warn("a connection could not be served: {}", problem.what());
            failed = true;
        }
        if (!failed) continue;
        // Out of descriptors or memory: the connection stays in the queue, and asking again at once would
        // spin.
        asio::steady_timer pause(worker.io, accept_back_off);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

void Lane::serve(Socket client) {
    const bool full =
        worker.shared.connections_open.load(std::memory_order_relaxed) >= worker.shared.limits.connections;
    if (full && !worker.evict_idle()) {
        return turn_away(std::move(client));
    }
    boost::system::error_code ignored;
    client.set_option(tcp::no_delay(true), ignored);
    const auto session = std::make_shared<Session>(worker, std::move(client));
    // `run` lets no exception out but one of its own start, which leaves nobody to tell.
    asio::co_spawn(worker.io, session->run(), [session](const std::exception_ptr&) {});
}

void Lane::turn_away(Socket client) {
    worker.counters.connections_refused.add();
    const auto id = RequestId::generate();
    const Refusal refusal{RefusalCode::overloaded, "limits.connections"};
    worker.log_refusal(refusal, id.str(), "-");
    const std::string answer = render_refusal(refusal, {.request_id = id.str(), .close = true});
    // Once, without waiting: a fresh connection has room for it.
    (void)::send(client.native_handle(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    boost::system::error_code ignored;
    client.shutdown(Socket::shutdown_both, ignored);
}

tcp::endpoint endpoint_of(const ListenAddress& listen) {
    return {asio::ip::make_address(listen.address.to_string()), listen.port};
}

/// SO_REUSEPORT lets a second gateway of the same user share the port and take half of the connections. So
/// the address is first taken without it, which fails where anybody listens.
void check_not_in_use(const tcp::endpoint& endpoint) {
    asio::io_context io;
    tcp::acceptor probe(io);
    probe.open(endpoint.protocol());
    probe.set_option(tcp::acceptor::reuse_address(true));
    probe.bind(endpoint);
}

}  // namespace

struct Proxy::Impl {
    Impl(const Config& config, service::SpendAuthorizer& authorizer, std::shared_ptr<spdlog::logger> log,
         TlsParts tls);

    void listen(const Config& config, service::SpendAuthorizer& authorizer,
                std::shared_ptr<spdlog::logger> log, TlsParts tls);

    ListenAddress address;
    std::unique_ptr<Shared> shared;
    std::vector<std::unique_ptr<Lane>> lanes;
    bool started = false;
    bool drained = false;
};

Proxy::Impl::Impl(const Config& config, service::SpendAuthorizer& authorizer,
                  std::shared_ptr<spdlog::logger> log, TlsParts tls)
    : address(config.proxy_listen) {
    try {
        listen(config, authorizer, std::move(log), tls);
    } catch (const boost::system::system_error& problem) {
        throw std::system_error(problem.code(), "listening on " + config.proxy_listen.to_string());
    }
}

void Proxy::Impl::listen(const Config& config, service::SpendAuthorizer& authorizer,
                         std::shared_ptr<spdlog::logger> log, TlsParts tls) {
    check_not_in_use(endpoint_of(address));
    shared = std::make_unique<Shared>(config.limits, config.upstream,
                                      std::vector<ListenAddress>{config.proxy_listen, config.admin_listen},
                                      authorizer, tls, config.cost_comment, std::move(log));
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = config.threads != 0 ? config.threads : cores;
    const std::size_t pooled = std::max<std::size_t>(1, config.limits.connections / threads);
    const auto rules = rules_of(config);
    for (unsigned i = 0; i < threads; ++i) {
        lanes.push_back(std::make_unique<Lane>(*shared, rules, pooled, endpoint_of(address)));
        address.port = lanes.back()->endpoint().port();  // the first one may have let the system choose
    }
    shared->own_listeners.front() = address;
}

Proxy::Proxy(const Config& config, service::SpendAuthorizer& authorizer, std::shared_ptr<spdlog::logger> log,
             TlsParts tls)
    : impl_(std::make_unique<Impl>(config, authorizer, std::move(log), tls)) {}

Proxy::~Proxy() {
    drain(Duration::zero());
}

void Proxy::start() {
    impl_->started = true;
    for (const auto& lane : impl_->lanes)
        lane->start();
}

void Proxy::drain(Duration limit) {
    if (!impl_->started || impl_->drained) return;
    impl_->drained = true;
    for (const auto& lane : impl_->lanes)
        lane->begin_drain();

    std::mutex mutex;
    std::condition_variable changed;
    bool ended = false;
    std::thread limiter([&] {
        std::unique_lock lock(mutex);
        if (changed.wait_for(lock, limit, [&] { return ended; })) return;
        for (const auto& lane : impl_->lanes)
            lane->cut();
    });
    for (const auto& lane : impl_->lanes)
        lane->join();
    {
        const std::lock_guard lock(mutex);
        ended = true;
    }
    changed.notify_all();
    limiter.join();
}

ListenAddress Proxy::address() const {
    return impl_->address;
}

ProxyStats Proxy::stats() const {
    ProxyStats sum;
    sum.refusals.resize(refusal_code_count);
    for (const auto& lane : impl_->lanes) {
        const Counters& counters = lane->worker.counters;
        sum.connections_accepted += counters.connections_accepted.value();
        sum.connections_open += counters.connections_open.value();
        sum.connections_refused += counters.connections_refused.value();
        sum.tunnels_open += counters.tunnels_open.value();
        sum.requests += counters.requests.value();
        sum.bytes_to_upstream += counters.bytes_to_upstream.value();
        sum.bytes_to_client += counters.bytes_to_client.value();
        sum.handshakes += counters.handshakes.value();
        sum.handshakes_failed += counters.handshakes_failed.value();
        sum.metering_alarms += counters.metering_alarms.value();
        for (std::size_t i = 0; i < sum.refusals.size(); ++i)
            sum.refusals[i] += counters.refusals[i].value();
    }
    return sum;
}

void Proxy::reload(const Config& config) {
    const auto rules = rules_of(config);
    for (const auto& lane : impl_->lanes) {
        asio::post(lane->worker.io, [&worker = lane->worker, rules] {
            worker.rules = rules;
            worker.pool.clear();
        });
    }
}

}  // namespace nomiqon::proxy
