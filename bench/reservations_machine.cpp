// What proc(5) tells: /proc/stat, /proc/loadavg, /proc/<pid>/stat.

#include "reservations_machine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

namespace nomiqon::bench {
namespace {

namespace fs = std::filesystem;

/// Of the first line: user, nice, system, idle, iowait, irq, softirq, steal.
struct Ticks {
    std::uint64_t all = 0, idle = 0;

    static Ticks now() {
        std::ifstream file{"/proc/stat"};
        std::string name;
        std::array<std::uint64_t, 8> values{};
        file >> name;
        for (auto& value : values)
            file >> value;
        return {.all = std::accumulate(values.begin(), values.end(), std::uint64_t{0}),
                .idle = values[3] + values[4]};
    }
};

struct Process {
    pid_t parent = 0;
    std::uint64_t own_ticks = 0, children_ticks = 0;  ///< the second: of those that ended
};

std::optional<Process> process(const fs::path& directory) {
    std::ifstream file{directory / "stat"};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    const std::size_t name_end = text.rfind(')');  // a process may be called anything
    if (name_end == std::string::npos) return {};
    std::istringstream fields{text.substr(name_end + 1)};
    Process process;
    std::string skipped;
    fields >> skipped >> process.parent;
    for (int field = 5; field < 14; ++field)
        fields >> skipped;
    std::array<std::uint64_t, 4> times{};  // utime, stime, cutime, cstime
    for (auto& time : times)
        fields >> time;
    if (!fields) return {};
    process.own_ticks = times[0] + times[1];
    process.children_ticks = times[2] + times[3];
    return process;
}

bool is_process(const fs::path& directory) {
    return std::ranges::all_of(directory.filename().string(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

double busy_share() {
    constexpr std::chrono::milliseconds while_silent{300};
    const Ticks before = Ticks::now();
    std::this_thread::sleep_for(while_silent);
    const Ticks after = Ticks::now();
    if (after.all == before.all) return 0;
    return 1 - static_cast<double>(after.idle - before.idle) / static_cast<double>(after.all - before.all);
}

double load_average() {
    double minute = 0;
    std::ifstream{"/proc/loadavg"} >> minute;
    return minute;
}

CpuTime Cpu::now() const {
    std::uint64_t ticks = 0;
    if (const auto parent = process("/proc/" + std::to_string(postmaster_)))
        ticks += parent->own_ticks + parent->children_ticks;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        if (!is_process(entry.path())) continue;
        const auto child = process(entry.path());
        if (child && child->parent == postmaster_) ticks += child->own_ticks;
    }
    timespec own{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    return {.clients = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) * 1e-9,
            .database = static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

}  // namespace nomiqon::bench
