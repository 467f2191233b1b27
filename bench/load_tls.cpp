// The clients before intercepting proxies: one thread, TLS inside CONNECT (or directly to the origin), a
// closed loop on each of N connections. Four things to do:
//
//   run     open all connections, then ask one request after another on each for a time
//   churn   a new connection, CONNECT and handshake for each request; --resume: the session of the last one
//   sse     like run, for event streams: when the first event came, and how long each one took
//   idle    open all connections, ask once on each, keep them until standard input ends
//
// Prints one JSON line, as bench_load does.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "answer.h"
#include "load_tls_options.h"
#include "sockets.h"
#include "tls.h"
#include "watched.h"

namespace {

using namespace nomiqon::bench;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t opening_at_once = 64;
constexpr std::size_t read_at_once = 64 * 1024;
constexpr Seconds warm_up{0.2};
constexpr Seconds time_to_open{60};

struct Client {
    enum class State : std::uint8_t { closed, connecting, opening, handshake, open, answer };
    Fd fd;
    Tls tls;
    TlsSession session;
    State state = State::closed;
    bool is_verified = false;
    std::string received;  // of the answer to CONNECT
    Answer answer;
    Clock::time_point since;  // the request, or for `churn` the connection
    bool has_first = false;   // event
};

class Load {
  public:
    explicit Load(Options options);
    nlohmann::json run();
    /// Connections that are still there, silent.
    [[nodiscard]] std::size_t count_idle() const;

  private:
    void open_next();
    void begin(Client& client);
    void step();
    void begin_measuring();
    void on_event(Client& client);
    bool on_connected(Client& client);
    bool read_opening(Client& client);
    bool start_tls(Client& client);
    bool advance_handshake(Client& client);
    bool read_some(Client& client);
    void on_open(Client& client);
    void on_answer(Client& client);
    void on_events(Client& client);
    void ask(Client& client);
    bool lose(Client& client, std::string_view why);
    [[nodiscard]] bool is_counted(Clock::time_point now) const;
    [[nodiscard]] bool is_over() const;
    nlohmann::json report();

    Options options_;
    TlsContext context_;
    sockaddr_in target_;
    std::string connect_head_, request_, host_;
    std::vector<Watched> watched_;
    Poller poller_;
    std::vector<Client> clients_;
    std::vector<char> buffer_;

    std::size_t begun_ = 0, opening_ = 0, ready_ = 0;
    Clock::time_point now_ = Clock::now(), started_ = now_;
    std::optional<Clock::time_point> asking_since_, measuring_since_;
    std::vector<std::uint32_t> latencies_, events_;  // microseconds
    std::uint64_t bytes_ = 0, errors_ = 0, handshakes_ = 0, resumed_ = 0;
    std::string first_error_;
};

/// The last ticket that came is the one to use.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    static_cast<Client*>(SSL_get_app_data(ssl))->session.reset(session);
    return 1;
}

Load::Load(Options options)
    : options_(std::move(options)),
      context_(make_context(TLS_client_method())),
      target_(parse_address(options_.target)),
      host_(options_.authority.substr(0, options_.authority.find(':'))),
      clients_(options_.connections),
      buffer_(read_at_once) {
    if (SSL_CTX_load_verify_file(context_.get(), options_.ca.c_str()) != 1)
        throw std::runtime_error("--ca: " + tls_error());
    if (options_.resume) {
        SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context_.get(), keep_session);
    }
    if (!options_.connect.empty()) {
        connect_head_ = "CONNECT " + options_.connect + " HTTP/1.1\r\nHost: " + options_.connect + "\r\n";
        if (!options_.credential.empty())
            connect_head_ += "Proxy-Authorization: " + options_.credential + "\r\n";
        connect_head_ += "\r\n";
    }
    const bool posts = !options_.post.empty();
    request_ = (posts ? "POST " : "GET ") + options_.path + " HTTP/1.1\r\nHost: " + options_.authority +
               "\r\nUser-Agent: bench\r\nAccept: */*\r\n";
    if (posts)
        request_ +=
            "Content-Type: application/json\r\nContent-Length: " + std::to_string(options_.post.size()) +
            "\r\n";
    request_ += "\r\n" + options_.post;
    for (const auto& text : options_.watch)
        watched_.push_back(parse_watched(text));
}

nlohmann::json Load::run() {
    open_next();
    while (!is_over()) {
        const auto events = poller_.wait(10);
        now_ = Clock::now();
        step();
        for (const auto& event : events)
            on_event(*static_cast<Client*>(event.data.ptr));
        open_next();
    }
    return report();
}

/// Few handshakes at a time: a queue of connections to accept is not what is measured.
void Load::open_next() {
    const std::size_t most = options_.task == Task::churn ? clients_.size() : opening_at_once;
    while (begun_ < clients_.size() && opening_ < most) {
        ++opening_;
        begin(clients_[begun_++]);
    }
}

void Load::begin(Client& client) {
    client.tls.reset();
    client.since = Clock::now();
    client.fd = begin_connect(target_);
    client.state = Client::State::connecting;
    poller_.add(client.fd, &client);
}

/// From all connections open to the beginning of what is counted.
void Load::step() {
    if (options_.task == Task::idle) return;
    if (!asking_since_ && (options_.task == Task::churn || ready_ == clients_.size())) {
        asking_since_ = now_;
        if (options_.task != Task::churn) {
            for (auto& client : clients_)
                ask(client);
        }
    }
    if (asking_since_ && !measuring_since_ && now_ - *asking_since_ >= warm_up) begin_measuring();
}

void Load::begin_measuring() {
    for (auto& watched : watched_)
        watched.at_begin = cpu_seconds(watched);
    latencies_.clear();
    latencies_.reserve(1'000'000);
    events_.clear();
    bytes_ = handshakes_ = resumed_ = 0;
    measuring_since_ = Clock::now();
}

bool Load::is_counted(Clock::time_point now) const {
    return measuring_since_ && now - *measuring_since_ < Seconds{options_.seconds};
}

bool Load::is_over() const {
    // A bench with errors measures something else.
    if (errors_ > 0) return true;
    if (options_.task == Task::idle && ready_ == clients_.size()) return true;
    if (measuring_since_) return now_ - *measuring_since_ >= Seconds{options_.seconds};
    return now_ - started_ >= time_to_open;
}

/// Edge-triggered: each step goes on until the socket has no more. Its bool: whether the next may follow.
void Load::on_event(Client& client) {
    using State = Client::State;
    if (client.state == State::connecting && !on_connected(client)) return;
    if (client.state == State::opening && !read_opening(client)) return;
    if (client.state == State::handshake && !advance_handshake(client)) return;
    while ((client.state == State::answer || client.state == State::open) && read_some(client)) {
    }
}

bool Load::on_connected(Client& client) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(client.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lose(client, std::system_category().message(error));
    if (connect_head_.empty()) return start_tls(client);
    const auto sent = ::send(client.fd.get(), connect_head_.data(), connect_head_.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(connect_head_.size())) return lose(client, "CONNECT could not be sent");
    client.state = Client::State::opening;
    client.received.clear();
    return true;
}

bool Load::read_opening(Client& client) {
    const auto count = ::recv(client.fd.get(), buffer_.data(), buffer_.size(), 0);
    if (count < 0 && would_block(errno)) return false;
    if (count <= 0) return lose(client, "CONNECT: the connection was closed");
    client.received.append(buffer_.data(), static_cast<std::size_t>(count));
    if (!client.received.ends_with("\r\n\r\n")) return false;
    if (!client.received.starts_with("HTTP/1.1 200"))
        return lose(client, client.received.substr(0, client.received.find("\r\n")));
    return start_tls(client);
}

bool Load::start_tls(Client& client) {
    client.tls.reset(SSL_new(context_.get()));
    SSL* ssl = client.tls.get();
    SSL_set_app_data(ssl, &client);
    SSL_set_fd(ssl, client.fd.get());
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, host_.c_str());
    SSL_set1_host(ssl, host_.c_str());
    // Once for each client: what checking chains costs the load, the proxy can't use.
    SSL_set_verify(ssl, client.is_verified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    if (client.session) SSL_set_session(ssl, client.session.get());
    client.state = Client::State::handshake;
    return true;
}

bool Load::advance_handshake(Client& client) {
    const auto result = shake_hands(client.tls);
    if (result == TlsResult::wait) return false;
    if (result == TlsResult::closed) return lose(client, "the handshake: " + tls_error());
    client.is_verified = true;
    ++handshakes_;
    resumed_ += static_cast<std::uint64_t>(SSL_session_reused(client.tls.get()));
    on_open(client);
    return true;
}

bool Load::read_some(Client& client) {
    std::size_t count = 0;
    const auto result = tls_read(client.tls, buffer_.data(), buffer_.size(), count);
    if (result == TlsResult::wait) return false;
    if (result == TlsResult::closed) return lose(client, tls_error());
    if (client.state == Client::State::open) return lose(client, "something came unasked");
    const auto before = client.answer.body_bytes();
    if (!client.answer.feed({buffer_.data(), count})) return lose(client, client.answer.why());
    bytes_ += client.answer.body_bytes() - before;
    if (options_.task == Task::sse) on_events(client);
    if (client.answer.is_complete()) on_answer(client);
    return true;
}

void Load::on_open(Client& client) {
    client.state = Client::State::open;
    if (options_.task == Task::churn || options_.task == Task::idle) return ask(client);
    --opening_;
    ++ready_;
}

void Load::on_answer(Client& client) {
    client.state = Client::State::open;
    const auto now = Clock::now();
    if (is_counted(now) && options_.task != Task::sse) {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - client.since);
        latencies_.push_back(static_cast<std::uint32_t>(took.count()));
    }
    switch (options_.task) {
        case Task::run:
        case Task::sse:
            return ask(client);
        case Task::idle:
            --opening_;
            ++ready_;
            return;
        case Task::churn:
            // Without it OpenSSL takes the session for broken.
            SSL_shutdown(client.tls.get());
            client.fd.reset();
            begin(client);
    }
}

/// The whole events that came; each holds the time at which it was sent, by this machine's clock.
void Load::on_events(Client& client) {
    const auto now = Clock::now();
    std::string& text = client.answer.text;
    for (auto end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
        constexpr std::string_view name = "\"t\":";
        if (const auto found = text.find(name); found < end) {
            const std::chrono::nanoseconds sent{std::stoll(text.substr(found + name.size(), end - found))};
            const auto took =
                std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch() - sent);
            if (is_counted(now)) events_.push_back(static_cast<std::uint32_t>(took.count()));
            if (!client.has_first && is_counted(client.since)) {
                const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(now - client.since);
                latencies_.push_back(static_cast<std::uint32_t>(waited.count()));
            }
            client.has_first = true;
        }
        text.erase(0, end + 2);
    }
}

void Load::ask(Client& client) {
    if (options_.task != Task::churn) client.since = Clock::now();
    client.answer.begin();
    client.has_first = false;
    client.state = Client::State::answer;
    std::size_t sent = 0;
    // Nothing else is on its way, so that even the smallest buffer takes it whole.
    if (tls_write(client.tls, request_, sent) != TlsResult::done || sent != request_.size())
        lose(client, "a request could not be sent");
}

bool Load::lose(Client& client, std::string_view why) {
    if (errors_++ == 0) first_error_ = why;
    client.tls.reset();
    client.fd.reset();
    client.state = Client::State::closed;
    return false;
}

nlohmann::json Load::report() {
    const double seconds = measuring_since_ ? Seconds{Clock::now() - *measuring_since_}.count() : 0;
    nlohmann::json cpu = nlohmann::json::object();
    for (const auto& watched : watched_)
        cpu[watched.name] = cpu_seconds(watched) - watched.at_begin;
    if (errors_ == 0 && !measuring_since_ && options_.task != Task::idle) {
        errors_ = 1;
        first_error_ = "the connections were not open in time";
    }
    std::ranges::sort(latencies_);
    std::ranges::sort(events_);
    const auto percentile = [](const std::vector<std::uint32_t>& sorted, double share) -> std::uint32_t {
        if (sorted.empty()) return 0;
        return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
    };
    const auto rate = [&](std::uint64_t count) {
        return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
    };
    return {{"connections", ready_},
            {"seconds", seconds},
            {"requests", latencies_.size()},
            {"bytes", bytes_},
            {"requests_per_s", rate(latencies_.size())},
            {"mb_per_s", rate(bytes_) / 1e6},
            {"p50_us", percentile(latencies_, 0.50)},
            {"p99_us", percentile(latencies_, 0.99)},
            {"max_us", percentile(latencies_, 1)},
            {"events", events_.size()},
            {"event_p50_us", percentile(events_, 0.50)},
            {"event_p99_us", percentile(events_, 0.99)},
            {"event_max_us", percentile(events_, 1)},
            {"handshakes", handshakes_},
            {"resumed", resumed_},
            {"cpu_s", std::move(cpu)},
            {"errors", errors_},
            {"first_error", first_error_}};
}

std::size_t Load::count_idle() const {
    return static_cast<std::size_t>(std::ranges::count_if(clients_, [](const Client& client) {
        char byte = 0;
        return ::recv(client.fd.get(), &byte, 1, MSG_PEEK) < 0 && would_block(errno);
    }));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"The clients of the benchmarks of interception.", "bench_load_tls"};
    try {
        // OpenSSL's socket BIO writes without MSG_NOSIGNAL.
        std::signal(SIGPIPE, SIG_IGN);
        const Options options = read_options(app, argc, argv);
        Load load(options);
        const auto report = load.run();
        std::printf("%s\n", report.dump().c_str());
        std::fflush(stdout);
        if (options.task == Task::idle) {
            while (std::getchar() != EOF) {
            }
            std::printf("{\"still_open\": %zu}\n", load.count_idle());
        }
        return report.at("errors") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_load_tls: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
