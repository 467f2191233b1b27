// The clients before the proxies: one thread, a closed loop on each of N connections, directly, through
// CONNECT tunnels, or with requests in absolute form. Three things to do:
//
//   run     open all connections, then ask one request after another on each for a time
//   churn   a new connection (and tunnel) for each request
//   idle    open all connections, ask once on each, keep them until standard input ends
//
// Prints one JSON line: what was done a second, latencies, errors, and the CPU time that the watched
// processes took meanwhile. `idle` prints it when the last tunnel has fallen silent.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "sockets.h"
#include "watched.h"

namespace {

using namespace nomiqon::bench;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t opening_at_once = 64;
constexpr std::size_t most_head_bytes = 16 * 1024;
constexpr std::size_t read_at_once = 1024 * 1024;
constexpr Seconds warm_up{0.2};
constexpr Seconds time_to_open{60};

enum class Task : std::uint8_t { run, churn, idle };

struct Options {
    Task task = Task::run;
    std::string target;     // where the sockets connect to: the proxy, or the origin
    std::string connect;    // host:port for CONNECT; empty: no tunnel
    std::string authority;  // host[:port] of requests in absolute form; empty: origin form
    std::string credential;
    std::string path = "/100";
    std::size_t connections = 64;
    double seconds = 2;
    std::vector<std::string> watch;  // name:pid,pid,…
};

struct Client {
    enum class State : std::uint8_t { closed, connecting, opening, open, head, body };
    Fd fd;
    State state = State::closed;
    std::string received;  // of a head
    std::uint64_t body_left = 0;
    Clock::time_point since;  // the request, or for `churn` the connection
};

class Load {
  public:
    explicit Load(Options options);
    nlohmann::json run();
    /// Connections that are still there, silent.
    [[nodiscard]] std::size_t count_idle() const;

  private:
    void open_next();
    void on_event(Client& client);
    bool read_some(Client& client);
    bool on_head(Client& client, std::string_view head);
    void on_open(Client& client);
    void on_answer(Client& client);
    void ask(Client& client, const std::string& bytes, Client::State next);
    void lose(Client& client, std::string_view why);
    void step();
    void begin_measuring();
    [[nodiscard]] bool is_over() const;
    nlohmann::json report();

    Options options_;
    sockaddr_in target_;
    std::string connect_head_, request_;
    std::vector<Watched> watched_;
    Poller poller_;
    std::vector<Client> clients_;
    std::vector<char> buffer_;

    std::size_t begun_ = 0, opening_ = 0, ready_ = 0;
    Clock::time_point now_ = Clock::now(), started_ = now_;
    std::optional<Clock::time_point> asking_since_, measuring_since_;
    std::vector<std::uint32_t> latencies_;  // microseconds
    std::uint64_t bytes_ = 0, errors_ = 0;
    std::string first_error_;
};

Load::Load(Options options)
    : options_(std::move(options)),
      target_(parse_address(options_.target)),
      clients_(options_.connections),
      buffer_(read_at_once) {
    const std::string credential =
        options_.credential.empty() ? "" : "Proxy-Authorization: " + options_.credential + "\r\n";
    const bool tunnel = !options_.connect.empty();
    if (tunnel)
        connect_head_ = "CONNECT " + options_.connect + " HTTP/1.1\r\nHost: " + options_.connect + "\r\n" +
                        credential + "\r\n";
    const bool absolute = !options_.authority.empty();
    const std::string host = absolute ? options_.authority : tunnel ? options_.connect : options_.target;
    request_ = "GET " + (absolute ? "http://" + host : "") + options_.path + " HTTP/1.1\r\nHost: " + host +
               "\r\nUser-Agent: bench\r\nAccept: */*\r\n" + (tunnel ? "" : credential) + "\r\n";
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
        Client& client = clients_[begun_++];
        ++opening_;
        client.since = Clock::now();
        client.fd = begin_connect(target_);
        client.state = Client::State::connecting;
        poller_.add(client.fd, &client);
    }
}

/// From all connections open to the beginning of what is counted.
void Load::step() {
    if (options_.task == Task::idle) return;
    const bool begin = options_.task == Task::churn || ready_ == clients_.size();
    if (!asking_since_ && begin) {
        asking_since_ = now_;
        if (options_.task == Task::run) {
            for (auto& client : clients_)
                ask(client, request_, Client::State::head);
        }
    }
    if (asking_since_ && !measuring_since_ && now_ - *asking_since_ >= warm_up) begin_measuring();
}

void Load::begin_measuring() {
    for (auto& watched : watched_)
        watched.at_begin = cpu_seconds(watched);
    latencies_.clear();
    latencies_.reserve(1'000'000);
    bytes_ = 0;
    measuring_since_ = Clock::now();
}

bool Load::is_over() const {
    // A bench with errors measures something else.
    if (errors_ > 0) return true;
    if (options_.task == Task::idle && ready_ == clients_.size()) return true;
    if (measuring_since_) return now_ - *measuring_since_ >= Seconds{options_.seconds};
    return now_ - started_ >= time_to_open;
}

void Load::on_event(Client& client) {
    using State = Client::State;
    if (client.state == State::connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(client.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return lose(client, std::system_category().message(error));
        if (connect_head_.empty()) return on_open(client);
        return ask(client, connect_head_, State::opening);
    }
    while (client.state != State::closed && read_some(client)) {
    }
}

/// One recv. False: nothing more to read for now.
bool Load::read_some(Client& client) {
    const bool body = client.state == Client::State::body;
    // The kernel throws the bytes of a body away by itself, so that the client costs less than the proxy.
    const std::size_t size =
        body ? static_cast<std::size_t>(std::min<std::uint64_t>(client.body_left, read_at_once))
             : most_head_bytes;
    const auto count = ::recv(client.fd.get(), buffer_.data(), size, body ? MSG_TRUNC : 0);
    if (count < 0 && would_block(errno)) return false;
    if (count <= 0) {
        lose(client, count == 0 ? "the connection was closed" : std::system_category().message(errno));
        return false;
    }
    const auto received = static_cast<std::size_t>(count);
    if (body) {
        bytes_ += received;
        client.body_left -= received;
    } else {
        client.received.append(buffer_.data(), received);
        const auto end = client.received.find("\r\n\r\n");
        if (end == std::string::npos) return received == size;
        const std::string head = client.received.substr(0, end + 2);
        const std::size_t behind = client.received.size() - end - 4;
        client.received.clear();
        if (!on_head(client, head)) return false;
        const auto of_body = std::min<std::uint64_t>(behind, client.body_left);
        bytes_ += of_body;
        client.body_left -= of_body;
    }
    if (client.state == Client::State::body && client.body_left == 0) on_answer(client);
    return received == size;
}

/// Of the CONNECT's answer, or of an answer with a body to come.
bool Load::on_head(Client& client, std::string_view head) {
    if (!head.starts_with("HTTP/1.1 200 ")) {
        lose(client, head.substr(0, head.find("\r\n")));
        return false;
    }
    if (client.state == Client::State::opening) {
        on_open(client);
        return true;
    }
    constexpr std::string_view name = "\r\ncontent-length:";
    const auto same = [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a + ('a' - 'A') == b); };
    const auto found = std::ranges::search(head, name, same);
    if (found.empty()) {
        lose(client, "an answer without Content-Length");
        return false;
    }
    const auto value = head.substr(static_cast<std::size_t>(found.end() - head.begin()));
    client.body_left = std::stoull(std::string(value.substr(0, value.find('\r'))));
    client.state = Client::State::body;
    return true;
}

void Load::on_open(Client& client) {
    client.state = Client::State::open;
    if (options_.task == Task::run) {
        --opening_;
        ++ready_;
        return;
    }
    ask(client, request_, Client::State::head);
}

void Load::on_answer(Client& client) {
    client.state = Client::State::open;
    const auto now = Clock::now();
    if (measuring_since_ && now - *measuring_since_ < Seconds{options_.seconds}) {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - client.since);
        latencies_.push_back(static_cast<std::uint32_t>(took.count()));
    }
    switch (options_.task) {
        case Task::run:
            return ask(client, request_, Client::State::head);
        case Task::idle:
            --opening_;
            ++ready_;
            return;
        case Task::churn:
            client.fd.reset();
            client.since = now;
            client.fd = begin_connect(target_);
            client.state = Client::State::connecting;
            poller_.add(client.fd, &client);
    }
}

void Load::ask(Client& client, const std::string& bytes, Client::State next) {
    if (options_.task == Task::run) client.since = Clock::now();
    client.state = next;
    const auto sent = ::send(client.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // Nothing else is on its way, so that even the smallest buffer takes it whole.
    if (sent != static_cast<ssize_t>(bytes.size())) lose(client, "a request could not be sent");
}

void Load::lose(Client& client, std::string_view why) {
    if (errors_++ == 0) first_error_ = why;
    client.fd.reset();
    client.state = Client::State::closed;
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
    const auto percentile = [&](double share) -> std::uint32_t {
        if (latencies_.empty()) return 0;
        return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))];
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
            {"p50_us", percentile(0.50)},
            {"p99_us", percentile(0.99)},
            {"max_us", percentile(1)},
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

Options read_options(CLI::App& app, int argc, char** argv) {
    Options options;
    std::string task;
    app.add_option("task", task, "run, churn or idle")
        ->required()
        ->check(CLI::IsMember({"run", "churn", "idle"}));
    app.add_option("--target", options.target, "IP:PORT of the proxy, or of the origin")->required();
    app.add_option("--connect", options.connect, "HOST:PORT to ask a tunnel to");
    app.add_option("--absolute", options.authority, "HOST of requests in absolute form");
    app.add_option("--proxy-authorization", options.credential,
                   "Bearer TOKEN, on CONNECT or on each request");
    app.add_option("--path", options.path, "/N: an answer of N bytes");
    app.add_option("--connections", options.connections, "at the same time")->check(CLI::Range(1, 100'000));
    app.add_option("--seconds", options.seconds, "to measure, after a short warm-up");
    app.add_option("--watch", options.watch, "NAME:PID,PID: processes whose CPU time is reported");
    app.parse(argc, argv);
    options.task = task == "run" ? Task::run : task == "churn" ? Task::churn : Task::idle;
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"The clients of the benchmarks.", "bench_load"};
    try {
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
        std::fprintf(stderr, "bench_load: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
