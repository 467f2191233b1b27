#pragma once

#include <unistd.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace nomiqon::bench {

/// Processes whose CPU time is told together.
struct Watched {
    std::string name;
    std::vector<std::string> pids;
    double at_begin = 0;
};

/// `name:pid,pid,…`
inline Watched parse_watched(const std::string& text) {
    const auto colon = text.find(':');
    Watched watched{.name = text.substr(0, colon), .pids = {}};
    std::istringstream pids(text.substr(colon + 1));
    for (std::string pid; std::getline(pids, pid, ',');)
        watched.pids.push_back(pid);
    return watched;
}

/// User and system time, all threads (proc(5)).
inline double cpu_seconds(const std::string& pid) {
    std::ifstream file("/proc/" + pid + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream rest(text.substr(name_end + 1));
    const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
    return static_cast<double>(std::stoull(fields.at(11)) + std::stoull(fields.at(12))) /
           static_cast<double>(::sysconf(_SC_CLK_TCK));
}

inline double cpu_seconds(const Watched& watched) {
    double sum = 0;
    for (const auto& pid : watched.pids)
        sum += cpu_seconds(pid);
    return sum;
}

}  // namespace nomiqon::bench
