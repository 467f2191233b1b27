#include "reservations_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace nomiqon::bench {

std::atomic<bool> interrupted{false};

namespace {

double median(Results::Series series) {
    if (series.empty()) return 0;
    std::ranges::sort(series);
    const std::size_t middle = series.size() / 2;
    return series.size() % 2 == 1 ? series[middle] : (series[middle - 1] + series[middle]) / 2;
}

std::string number(double value) {
    return fmt::format(fmt::runtime(std::abs(value) < 1 ? "{:.3f}" : "{:.2f}"), value);
}

/// Characters, not bytes: what stands here has `≥` and `×` in it.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// The first column to the left, the others to the right.
template <std::size_t N>
std::string markdown(const std::vector<std::array<std::string, N>>& rows) {
    std::array<std::size_t, N> widths{};
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < N; ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string text;
    for (std::size_t line = 0; line < rows.size(); ++line) {
        text += '|';
        for (std::size_t i = 0; i < N; ++i) {
            const std::string padding(widths[i] - width_of(rows[line][i]), ' ');
            text += i == 0 ? fmt::format(" {}{} |", rows[line][i], padding)
                           : fmt::format(" {}{} |", padding, rows[line][i]);
        }
        text += '\n';
        if (line > 0) continue;
        for (std::size_t i = 0; i < N; ++i)
            text += '|' + std::string(widths[i] + 1, '-') + (i == 0 ? '-' : ':');
        text += "|\n";
    }
    return text;
}

template <class Operation>
Results::Series each(const Results::Series& left, const Results::Series& right, Operation operation) {
    Results::Series result;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
        result.push_back(operation(left[i], right[i]));
    return result;
}

}  // namespace

Sample summarise(std::vector<double> latencies_ms, double took_seconds, CpuTime cpu) {
    if (latencies_ms.empty()) throw std::runtime_error("nothing was answered in time");
    std::ranges::sort(latencies_ms);
    const auto at = [&](double share) {
        return latencies_ms[static_cast<std::size_t>(share * static_cast<double>(latencies_ms.size() - 1))];
    };
    const auto count = static_cast<double>(latencies_ms.size());
    return {.per_second = count / took_seconds,
            .p50_ms = at(0.5),
            .p99_ms = at(0.99),
            .clients_us = cpu.clients / count * 1e6,
            .database_us = cpu.database / count * 1e6};
}

void Results::add(const std::string& contender, const Sample& sample) {
    auto& samples = samples_[contender];
    if (samples.empty()) order_.push_back(contender);
    samples.push_back(sample);
}

Results::Series Results::series(const std::string& contender, double Sample::* figure) const {
    Series series;
    const auto found = samples_.find(contender);
    if (found == samples_.end()) return series;
    for (const Sample& sample : found->second)
        series.push_back(sample.*figure);
    return series;
}

std::string Results::table() const {
    std::vector<std::array<std::string, 7>> rows{
        {"contender", "a second", "p50 ms", "p99 ms", "CPU µs: clients", "database", "a batch"}};
    for (const std::string& name : order_) {
        const double batch = median(series(name, &Sample::per_batch));
        rows.push_back({name, fmt::format("{:.0f}", median(series(name, &Sample::per_second))),
                        fmt::format("{:.2f}", median(series(name, &Sample::p50_ms))),
                        fmt::format("{:.2f}", median(series(name, &Sample::p99_ms))),
                        fmt::format("{:.0f}", median(series(name, &Sample::clients_us))),
                        fmt::format("{:.0f}", median(series(name, &Sample::database_us))),
                        batch > 0 ? fmt::format("{:.1f}", batch) : ""});
    }
    return markdown(rows);
}

Results::Series quotients(const Results::Series& of, const Results::Series& by) {
    return each(of, by, std::divides<>{});
}

Results::Series differences(const Results::Series& of, const Results::Series& less) {
    return each(of, less, std::minus<>{});
}

std::string table(const std::vector<Target>& targets) {
    std::vector<std::array<std::string, 5>> rows{{"target", "median", "rounds", "wanted", ""}};
    for (const Target& target : targets) {
        if (target.figures.empty()) continue;
        const double figure = median(target.figures);
        const bool met = target.at_least ? figure >= target.wanted : figure <= target.wanted;
        const auto [least, most] = std::ranges::minmax(target.figures);
        rows.push_back({target.what, number(figure) + " " + target.unit,
                        number(least) + " to " + number(most),
                        fmt::format("{} {:.3g} {}", target.at_least ? "≥" : "≤", target.wanted, target.unit),
                        met ? "pass" : "FAIL"});
    }
    return markdown(rows);
}

}  // namespace nomiqon::bench
