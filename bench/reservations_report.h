#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "reservations_machine.h"

namespace nomiqon::bench {

/// Set by SIGINT and SIGTERM: every loop looks at it, so that the private PostgreSQL is always stopped.
extern std::atomic<bool> interrupted;

/// What one contender did in one round.
struct Sample {
    double per_second = 0;
    double p50_ms = 0;
    double p99_ms = 0;
    double clients_us = 0;  ///< of processor time, each
    double database_us = 0;
    double per_batch = 0;  ///< reservations a transaction, of the contenders that batch
};

[[nodiscard]] Sample summarise(std::vector<double> latencies_ms, double took_seconds, CpuTime cpu);

/// The samples of all rounds, by the contender's name, in the order of their first round.
class Results {
  public:
    using Series = std::vector<double>;

    void add(const std::string& contender, const Sample& sample);
    [[nodiscard]] Series series(const std::string& contender, double Sample::* figure) const;
    [[nodiscard]] std::string table() const;

  private:
    std::vector<std::string> order_;
    std::map<std::string, std::vector<Sample>> samples_;
};

/// A promise of the README: a figure that must be at least, or at most, what is wanted. A round's figures are
/// compared with each other, since what slows a round down slows both; the median of the rounds counts.
struct Target {
    std::string what;
    Results::Series figures;
    double wanted = 0;
    bool at_least = true;
    std::string unit = "×";
};

[[nodiscard]] Results::Series quotients(const Results::Series& of, const Results::Series& by);
[[nodiscard]] Results::Series differences(const Results::Series& of, const Results::Series& less);
[[nodiscard]] std::string table(const std::vector<Target>& targets);

}  // namespace nomiqon::bench
