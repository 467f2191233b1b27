#pragma once

#include <memory>
#include <string>
#include <vector>

#include "callers.h"

namespace nomiqon::simulation {

/// One run: gateways, callers and a database, everything that can go wrong with them, and a judge.
class Simulation {
  public:
    struct Options {
        std::uint64_t seed = 1;
        std::uint64_t operations = 50'000;  ///< reservations and endings
        Fault fault = Fault::none;
        bool audit = true;  ///< whether the audit module judges as well, at the end
    };
    struct Result {
        std::vector<std::string> findings;  ///< empty: all was well
        std::uint64_t operations = 0;       ///< until the end or the first finding
        std::uint64_t lines = 0;            ///< of the chains that were judged
        std::uint64_t trace = 0;            ///< the same for the same seed
        std::uint64_t verified_tokens = 0;
        GatewayStats gateways;
        SimulatedDatabase::Stats database;
        std::map<std::string, std::uint64_t> answers;
        std::uint64_t expired = 0, corrected = 0, midnights = 0;
    };
    explicit Simulation(const Options& options);
    [[nodiscard]] Result run();

  private:
    struct Slot {
        std::unique_ptr<SimulatedGateway> gateway;
        std::uint64_t life = 0;
    };
    void start(std::size_t slot);
    void crash(std::size_t slot);
    void burst();
    void trouble();
    void administer();
    void judge();
    void drain();
    void audit();
    [[nodiscard]] std::uint64_t operations() const { return stats_.reserves + stats_.endings; }

    const Options options_;
    World world_;
    Judge judge_;
    GatewayStats stats_;
    SimulatedDatabase database_;
    Callers callers_;
    std::shared_ptr<const metering::RouteTable> routes_;
    std::vector<Slot> slots_;
    std::vector<std::string> findings_;
    bool over_ = false;  // no more requests, no more trouble
};

}  // namespace nomiqon::simulation
