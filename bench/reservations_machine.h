#pragma once

#include <sys/types.h>

namespace nomiqon::bench {

/// How much of all cores other work takes while nothing here runs; time stolen from this machine too.
[[nodiscard]] double busy_share();
[[nodiscard]] double load_average();  ///< of the last minute

/// Seconds of processor time.
struct CpuTime {
    double clients = 0;   ///< this process: the clients, and a gateway's own threads
    double database = 0;  ///< PostgreSQL, all its processes

    friend CpuTime operator-(CpuTime left, CpuTime right) {
        return {.clients = left.clients - right.clients, .database = left.database - right.database};
    }
};

/// The processor time of this process and of a PostgreSQL. Other work on the machine moves rates and
/// latencies, and favours whoever has more processes; it moves this much less.
class Cpu {
  public:
    explicit Cpu(pid_t postmaster) : postmaster_(postmaster) {}
    [[nodiscard]] CpuTime now() const;

  private:
    pid_t postmaster_;
};

}  // namespace nomiqon::bench
