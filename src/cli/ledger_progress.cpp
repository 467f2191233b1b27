#include "ledger_progress.h"

#include <unistd.h>
#include <algorithm>
#include <cstdio>

namespace nomiqon::cli {
namespace {

constexpr std::int64_t bar_width = 24;
constexpr const char* clear_line = "\r\x1b[K";

std::string time_left(std::int64_t seconds) {
    constexpr std::int64_t minute = 60;
    if (seconds < 2 * minute) return std::to_string(seconds) + " s";
    if (seconds < 2 * minute * minute) return std::to_string(seconds / minute) + " min";
    return std::to_string(seconds / (minute * minute)) + " h";
}

}  // namespace

std::string grouped(std::int64_t number) {
    auto digits = std::to_string(number);
    for (auto place = static_cast<std::int64_t>(digits.size()) - 3; place > 0; place -= 3)
        digits.insert(static_cast<std::size_t>(place), 1, ',');
    return digits;
}

std::string progress_text(std::int64_t done, std::int64_t total, std::chrono::milliseconds elapsed) {
    // A ledger in use has grown since the total was asked for.
    done = std::min(done, total);
    const auto filled = static_cast<std::size_t>(total > 0 ? done * bar_width / total : bar_width);
    std::string text = "[" + std::string(filled, '#') + std::string(bar_width - filled, '-') + "] " +
                       std::to_string(total > 0 ? done * 100 / total : 100) + " %, " + grouped(done) +
                       " of " + grouped(total) + " lines";
    const auto rate = elapsed.count() > 0 ? done * 1000 / elapsed.count() : 0;
    if (rate > 0) text += ", " + grouped(rate) + " lines/s, " + time_left((total - done) / rate) + " left";
    return text;
}

ProgressBar::ProgressBar(std::int64_t total) : shown_(isatty(STDERR_FILENO) == 1), total_(total) {}

ProgressBar::~ProgressBar() {
    if (drawn_) std::fputs(clear_line, stderr);
}

void ProgressBar::draw(std::int64_t done) {
    if (!shown_) return;
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin_);
    std::fputs((clear_line + progress_text(done, total_, elapsed)).c_str(), stderr);
    std::fflush(stderr);
    drawn_ = true;
}

}  // namespace nomiqon::cli
