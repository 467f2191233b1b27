// nomiqon-gateway: builds the parts by hand, in the order of their dependencies, and ends them in the reverse
// one.

#include <fmt/format.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "database.h"
#include "interception.h"
#include "metrics.h"
#include "nomiqon/admin/admin_server.h"
#include "nomiqon/ledger/data_dir_lock.h"
#include "nomiqon/metering/routes.h"
#include "options.h"

namespace nomiqon::gateway {
namespace {

void print_problems(const std::vector<ConfigProblem>& problems) {
    for (const ConfigProblem& problem : problems) {
        fmt::print(stderr, "nomiqon-gateway: {}: {}\n", problem.place, problem.message);
    }
}

// Secrets must not reach a core file, and a proxy needs more descriptors than the usual soft limit.
void set_limits() {
    ::prctl(PR_SET_DUMPABLE, 0);
    const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    // For connections that libpq opens; the ledger's watchdog covers the rest.
    ::setenv("PGCONNECT_TIMEOUT", "5", 0);
    // A name server that is silent holds one of the resolver's threads: less long than glibc's 5 s and 2.
    ::setenv("RES_OPTIONS", "timeout:2 attempts:2", 0);
}

// Signals are taken by `main` alone, in sigwait; every thread inherits this mask.
sigset_t block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return signals;
}

// New routes, prices and secrets. A file with mistakes changes nothing.
void reload(const Options& options, proxy::Proxy& proxy, service::SpendAuthorizer& authorizer,
            Interception& interception, ledger::PostgresLedger& ledger, spdlog::logger& log) {
    const auto config = load_config(options.config_file, options.overrides);
    if (!config) {
        for (const ConfigProblem& problem : config.error())
            log.error("{}: {}", problem.place, problem.message);
        log.error("the configuration was not reloaded");
        return;
    }
    auto book = read_prices(*config, &log);
    if (!book) {
        log.error("{}", book.error());
        log.error("the configuration was not reloaded");
        return;
    }
    interception.reload(*config);
    ledger.keep_price_book((*book)->version(), (*book)->document());
    authorizer.set_routes(std::make_shared<const metering::RouteTable>(config->routes, *std::move(book)));
    proxy.reload(*config);
    log.info("the configuration was reloaded");
}

bool wait_until_available(const ledger::PostgresLedger& ledger) {
    for (int tenths = 0; tenths < 100; ++tenths) {
        if (ledger.is_available()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    return false;
}

int run(const Options& options, const Config& config) {
    const sigset_t signals = block_signals();
    const auto log = make_logger(config.log);
    for (const std::string& warning : config.warnings)
        log->warn("{}", warning);

    const auto lock = DataDirLock::acquire(config.data_dir);
    if (!lock) {
        log->error("{}", lock.error());
        return 1;
    }

    const SystemClock clock;
    const auto interception = Interception::open(config, clock, log);
    if (!interception) {
        log->critical("{}", interception.error());
        return 1;
    }
    auto book = read_prices(config, log.get());
    if (!book) {
        log->critical("{}", book.error());
        return 1;
    }
    ledger::PostgresLedger ledger{{.connections = config.database.connections,
                                   .queue = config.database.queue,
                                   .batch = config.database.batch,
                                   .timeout = config.database.timeout,
                                   .lease = config.reservation.lease,
                                   .refusals = config.limits.refusals,
                                   .version = NOMIQON_VERSION},
                                  log};
    ledger.keep_price_book((*book)->version(), (*book)->document());
    service::SpendAuthorizer authorizer{ledger,
                                        clock,
                                        std::make_shared<const metering::RouteTable>(config.routes, *book),
                                        {.audience = config.token.audience,
                                         .wait = config.reservation.wait,
                                         .require_allowlist = config.policy.require_allowlist}};
    Database database{config, ledger, log};
    std::atomic<bool> draining{false};
    std::atomic<bool> failed{false};
    proxy::Proxy* proxy_stats = nullptr;  // the metrics page shows the proxy, which is built after the page
    admin::AdminServer admin{config,
                             ledger,
                             authorizer,
                             clock,
                             {.not_ready_because = [&]() -> std::string {
                                  if (draining) return "shutting down";
                                  if (!database.is_up()) return "waiting for the database";
                                  return ledger.is_available() ? "" : "the database is away";
                              },
                              .metrics =
                                  [&] {
                                      return metrics_text(proxy_stats->stats(), ledger.stats(),
                                                          ledger.is_available(), **interception);
                                  }},
                             log};
    // The proxy connects to no listener of the gateway's own, so it must know the port that the admin one
    // really has.
    Config proxy_config = config;
    proxy_config.admin_listen = admin.address();
    proxy::Proxy proxy{proxy_config, authorizer, log, (*interception)->parts()};
    proxy_stats = &proxy;

    const auto up = database.bring_up([&](const std::string& why) {
        log->critical("{}", why);
        failed = true;
        ::kill(::getpid(), SIGTERM);
    });
    if (!up) {
        log->critical("{}", up.error());
        return 1;
    }
    proxy.start();
    admin.start();
    if (database.is_up() && wait_until_available(ledger)) {
        fmt::print("nomiqon-gateway {} is ready: proxy {}, admin {}, data {}\n", NOMIQON_VERSION,
                   proxy.address().to_string(), admin.address().to_string(), config.data_dir.string());
        std::fflush(stdout);
    }

    while (true) {
        int signal = 0;
        if (::sigwait(&signals, &signal) != 0) continue;
        if (signal != SIGHUP) break;
        reload(options, proxy, authorizer, **interception, ledger, *log);
    }
    log->info("draining, for {} s at most", config.shutdown.drain.count() / 1000);
    draining = true;
    proxy.drain(config.shutdown.drain);
    admin.stop();
    ledger.stop(config.shutdown.drain);
    database.stop();
    log->info("stopped");
    return failed ? 1 : 0;
}

}  // namespace
}  // namespace nomiqon::gateway

int main(int argc, char** argv) {
    using namespace nomiqon;
    const auto options = gateway::read_options(argc, argv);
    if (!options) return options.error();
    if (::sodium_init() < 0) return 1;
    gateway::set_limits();

    const auto config = load_config(options->config_file, options->overrides);
    if (!config) {
        gateway::print_problems(config.error());
        return 1;
    }
    if (options->check_config) {
        if (const auto book = gateway::read_prices(*config, nullptr); !book) {
            fmt::print(stderr, "nomiqon-gateway: {}\n", book.error());
            return 1;
        }
        for (const std::string& warning : config->warnings)
            fmt::print("warning: {}\n", warning);
        fmt::print("the configuration is good\n");
        return 0;
    }
    try {
        return gateway::run(*options, *config);
    } catch (const std::exception& error) {  // an address in use, no memory: what a start can't go on with
        fmt::print(stderr, "nomiqon-gateway: {}\n", error.what());
        return 1;
    }
}
