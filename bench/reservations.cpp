// What a reservation costs, beside what people write by hand, in one run on one private PostgreSQL: README.md
// says what each row means.
//
//   bench_reservations [--quick] [--full] [--no-history] [--only TEXT] [--rounds N] [--seconds S]

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "reservations_byhand.h"
#include "reservations_machine.h"
#include "reservations_report.h"
#include "reservations_stand.h"

namespace {

using namespace nomiqon::bench;

constexpr std::size_t in_flight = 64;
constexpr std::size_t many_agents = 1'000;
constexpr std::size_t all_gateways = 4;
constexpr double quiet = 0.1;
constexpr std::int64_t short_history = 10'000;
constexpr std::int64_t refilled_each_round = 100'000;  // beyond that, what a round adds is little

struct Chosen {
    bool quick = false, full = false, no_history = false;
    int rounds = 0;
    double seconds = 0;
    std::string only;
};

/// What a row of the table is called. The targets refer to them.
namespace row {
const std::string for_update = "by hand: SELECT … FOR UPDATE, UPDATE, INSERT, COMMIT; 1 agent, 64";
const std::string pipelined = "by hand: the same in two round trips (pipeline); 1 agent, 64";
const std::string one_update = "by hand: UPDATE … WHERE spent + x <= cap; 1 agent, 64";
const std::string call_hot = "by hand: one function call; 1 agent, 64";
const std::string all_many = "by hand: one function call that does it all; 1,000 agents, 64";
const std::string call_many = "by hand: one function call; 1,000 agents, 64";
const std::string commit = "one INSERT, one COMMIT; 1 client";
const std::string hot = "reserve; 1 agent, 64";
const std::string pairs = "reserve and settle; 1 agent, 64";
const std::string many = "reserve; 1,000 agents, 64";
const std::string many_256 = "reserve; 1,000 agents, 256";
const std::string four = "reserve; 1 agent, 4 gateways with 64 each";
const std::string lone = "reserve; 1 agent, 1";
const std::string hot_emptied = "after TRUNCATE: reserve; 1 agent, 64";
const std::string pairs_emptied = "after TRUNCATE: reserve and settle; 1 agent, 64";
const std::string lone_emptied = "after TRUNCATE: reserve; 1 agent, 1";

std::string power_of_ten(std::int64_t number) {
    return fmt::format("10^{:.0f}", std::log10(static_cast<double>(number)));
}
std::string history(std::int64_t reservations) {
    return "reserve and settle; 1 agent of " + power_of_ten(reservations) + " reservations, 64";
}
}  // namespace row

struct Contender {
    std::string name;
    std::function<void()> prepare;  ///< may be empty
    std::function<Sample()> measure;
};

void say(const std::string& text) {
    if (::isatty(STDERR_FILENO) == 1) std::fprintf(stderr, "\r\033[K%s", text.c_str());
}

/// In the order of measurement: what is compared stands close together.
std::vector<Contender> contenders_of(const Stand& stand, Book& book, double seconds) {
    const auto by_hand = [&stand, seconds](const std::string& name, ByHand kind, std::size_t clients,
                                           std::size_t agents) {
        const ByHandLoad load{.kind = kind, .clients = clients, .agents = agents, .seconds = seconds};
        return Contender{
            name, {}, [&stand, load] { return measure_byhand(stand.owner_url(), load, stand.cpu()); }};
    };
    const auto ours = [&book](const std::string& name, const Load& load) {
        return Contender{name, {}, [&book, load] { return book.measure(load); }};
    };
    const auto emptied = [&book](const std::string& name, const Load& load) {
        return Contender{name, [&book] { book.empty(); }, [&book, load] { return book.measure(load); }};
    };
    const Load hot{.clients = in_flight, .seconds = seconds};
    const Load pairs{.clients = in_flight, .settle = true, .seconds = seconds};
    const Load lone{.clients = 1, .seconds = seconds};
    return {by_hand(row::for_update, ByHand::for_update, in_flight, 1),
            by_hand(row::pipelined, ByHand::for_update_pipelined, in_flight, 1),
            by_hand(row::one_update, ByHand::one_update, in_flight, 1),
            by_hand(row::call_hot, ByHand::function_call, in_flight, 1),
            ours(row::four, {.clients = in_flight, .gateways = all_gateways, .seconds = seconds}),
            ours(row::hot, hot),
            emptied(row::hot_emptied, hot),
            ours(row::pairs, pairs),
            emptied(row::pairs_emptied, pairs),
            by_hand(row::commit, ByHand::one_insert, 1, 1),
            ours(row::lone, lone),
            emptied(row::lone_emptied, lone),
            by_hand(row::call_many, ByHand::function_call, in_flight, many_agents),
            by_hand(row::all_many, ByHand::function_of_all, in_flight, many_agents),
            ours(row::many, {.clients = in_flight, .agents = many_agents, .seconds = seconds}),
            ours(row::many_256, {.clients = 256, .agents = many_agents, .seconds = seconds})};
}

/// Each length in a database of its own, so that the rounds can go from one to the next and back.
std::vector<Contender> contenders_with_history(Stand& stand, const std::vector<std::int64_t>& lengths,
                                               double seconds) {
    std::vector<Contender> contenders;
    for (const std::int64_t length : lengths) {
        Book& book = stand.make_book(fmt::format("history_{}", length), 1, 1);
        const auto prepare = [&book, length, filled = false]() mutable {
            if (filled && length > refilled_each_round) return;
            if (filled) book.empty();
            book.fill(length);
            filled = true;
        };
        contenders.push_back({row::history(length), prepare, [&book, seconds] {
                                  return book.measure(
                                      {.clients = in_flight, .settle = true, .seconds = seconds});
                              }});
    }
    return contenders;
}

std::vector<Target> targets_of(const Results& results, std::int64_t longest) {
    const auto rate = [&](const std::string& name) { return results.series(name, &Sample::per_second); };
    const auto p50 = [&](const std::string& name) { return results.series(name, &Sample::p50_ms); };
    const auto p99 = [&](const std::string& name) { return results.series(name, &Sample::p99_ms); };
    return {
        {"1 agent, 64 in flight ÷ SELECT … FOR UPDATE", quotients(rate(row::hot), rate(row::for_update)), 20},
        {"1 agent, 64 in flight ÷ one-row UPDATE", quotients(rate(row::hot), rate(row::one_update)), 10},
        {"1,000 agents, 64 in flight ÷ function call that does it all",
         quotients(rate(row::many), rate(row::all_many)), 4},
        {"1,000 agents, 256 in flight ÷ function call that does it all, 64",
         quotients(rate(row::many_256), rate(row::all_many)), 4},
        {"1,000 agents, 64 in flight ÷ function call", quotients(rate(row::many), rate(row::call_many)), 4},
        {"1,000 agents, 256 in flight ÷ function call, 64",
         quotients(rate(row::many_256), rate(row::call_many)), 4},
        {"reserve and settle ÷ reserve alone", quotients(rate(row::pairs), rate(row::hot)), 0.6},
        {"four gateways ÷ one, 1 agent", quotients(rate(row::four), rate(row::hot)), 0.65},
        {"lone reservation's p50 − plain commit's", differences(p50(row::lone), p50(row::commit)), 0.5, false,
         "ms"},
        {"p99, 64 in flight ÷ SELECT … FOR UPDATE's", quotients(p99(row::hot), p99(row::for_update)), 0.05,
         false},
        {"after TRUNCATE ÷ before: reserve", quotients(rate(row::hot_emptied), rate(row::hot)), 0.9},
        {"after TRUNCATE ÷ before: reserve and settle", quotients(rate(row::pairs_emptied), rate(row::pairs)),
         0.9},
        {"before ÷ after TRUNCATE: lone p50", quotients(p50(row::lone), p50(row::lone_emptied)), 0.9},
        {row::power_of_ten(longest) + " reservations of history ÷ " + row::power_of_ten(short_history),
         quotients(rate(row::history(longest)), rate(row::history(short_history))), 0.9}};
}

void measure_round(const Stand& stand, const std::vector<Contender>& contenders, const std::string& round,
                   Results& results) {
    for (const Contender& contender : contenders) {
        say(round + ": " + contender.name);
        if (contender.prepare) contender.prepare();
        stand.checkpoint();
        if (interrupted) return;
        results.add(contender.name, contender.measure());
    }
}

int run(const Chosen& chosen) {
    Stand stand;
    Book& book = stand.make_book("hot", many_agents, all_gateways);
    make_byhand(stand.owner_url(), many_agents);

    std::vector<std::int64_t> lengths;
    if (!chosen.no_history) lengths = {short_history, 100'000};
    if (!chosen.no_history && !chosen.quick) lengths.push_back(1'000'000);
    if (!chosen.no_history && chosen.full) lengths.push_back(10'000'000);

    auto contenders = contenders_of(stand, book, chosen.seconds);
    std::ranges::move(contenders_with_history(stand, lengths, chosen.seconds),
                      std::back_inserter(contenders));

    std::erase_if(contenders,
                  [&](const Contender& contender) { return !contender.name.contains(chosen.only); });
    if (contenders.empty()) throw std::runtime_error("no row has that in its name");

    const double load_before = load_average();
    Results results;
    std::vector<double> busy;
    for (int round = 1; round <= chosen.rounds && !interrupted; ++round) {
        busy.push_back(busy_share());
        measure_round(stand, contenders, fmt::format("round {} of {}", round, chosen.rounds), results);
    }
    say("");
    if (interrupted) {
        std::fprintf(stderr, "bench_reservations: interrupted\n");
        return EXIT_FAILURE;
    }
    const double most_busy = std::ranges::max(busy);
    fmt::print(
        "{} interleaved rounds of {} s, medians. {} cores; {}. Load average at the start {:.2f}; before the "
        "rounds "
        "other work took {:.0f} to {:.0f} % of the machine.{}\n\n{}\n{}",
        chosen.rounds, chosen.seconds, std::thread::hardware_concurrency(), stand.describe(), load_before,
        std::ranges::min(busy) * 100, most_busy * 100, most_busy > quiet ? " TOO MUCH: measure again." : "",
        results.table(), table(targets_of(results, lengths.empty() ? short_history : lengths.back())));
    return EXIT_SUCCESS;
}

void interrupt(int) {
    interrupted = true;
}

}  // namespace

int main(int argc, char** argv) {
    Chosen chosen;
    CLI::App app{"What a reservation costs, beside what people write by hand"};
    app.add_flag("--quick", chosen.quick, "1 round of 1 s each, 10^5 reservations of history at most");
    app.add_flag("--full", chosen.full,
                 "up to 10^7 reservations of history: 20 GB and a quarter of an hour more");
    app.add_flag("--no-history", chosen.no_history, "leave the histories out");
    app.add_option("--rounds", chosen.rounds, "default 3")->check(CLI::Range(1, 100));
    app.add_option("--seconds", chosen.seconds, "of each measurement; default 2")
        ->check(CLI::Range(0.1, 60.0));
    app.add_option("--only", chosen.only, "only the rows with this in their names");
    CLI11_PARSE(app, argc, argv);
    if (chosen.rounds == 0) chosen.rounds = chosen.quick ? 1 : 3;
    if (chosen.seconds == 0) chosen.seconds = chosen.quick ? 1 : 2;
    std::signal(SIGINT, interrupt);
    std::signal(SIGTERM, interrupt);
    try {
        return run(chosen);
    } catch (const std::exception& problem) {
        say("");
        std::fprintf(stderr, "bench_reservations: %s\n", problem.what());
        return EXIT_FAILURE;
    }
}
