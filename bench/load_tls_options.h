#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace nomiqon::bench {

enum class Task : std::uint8_t { run, churn, sse, idle };

struct Options {
    Task task = Task::run;
    std::string target;     // where the sockets connect to: the proxy, or the origin
    std::string connect;    // host:port for CONNECT; empty: directly
    std::string authority;  // host[:port] of the origin, as its certificate and the Host field have it
    std::string ca;
    std::string credential;
    std::string path = "/100";
    std::string post;  // body of a POST; empty: GET
    bool resume = false;
    std::size_t connections = 64;
    double seconds = 2;
    std::vector<std::string> watch;  // name:pid,pid,…
};

inline Options read_options(CLI::App& app, int argc, char** argv) {
    Options options;
    std::string task;
    app.add_option("task", task, "run, churn, sse or idle")
        ->required()
        ->check(CLI::IsMember({"run", "churn", "sse", "idle"}));
    app.add_option("--target", options.target, "IP:PORT of the proxy, or of the origin")->required();
    app.add_option("--connect", options.connect, "HOST:PORT to CONNECT to");
    app.add_option("--authority", options.authority, "HOST or HOST:PORT of the origin")->required();
    app.add_option("--ca", options.ca, "certificates to trust, PEM")->required();
    app.add_option("--proxy-authorization", options.credential, "Bearer TOKEN, on CONNECT");
    app.add_option("--path", options.path, "what to ask for");
    app.add_option("--post", options.post, "JSON to send");
    app.add_flag("--resume", options.resume, "resume sessions");
    app.add_option("--connections", options.connections, "at the same time")->check(CLI::Range(1, 100'000));
    app.add_option("--seconds", options.seconds, "to measure, after a short warm-up");
    app.add_option("--watch", options.watch, "NAME:PID,PID: processes whose CPU time is reported");
    app.parse(argc, argv);
    options.task = task == "run"     ? Task::run
                   : task == "churn" ? Task::churn
                   : task == "sse"   ? Task::sse
                                     : Task::idle;
    return options;
}

}  // namespace nomiqon::bench
