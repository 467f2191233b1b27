#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nomiqon::cli {

/// A bar on standard error that is drawn over itself; nothing where that is no terminal.
class ProgressBar {
  public:
    explicit ProgressBar(std::int64_t total);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    [[nodiscard]] bool is_shown() const { return shown_; }
    void draw(std::int64_t done);

  private:
    bool shown_;
    bool drawn_ = false;
    std::int64_t total_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// `[#####-----] 50 %, 12,345 of 24,690 lines, 6,172 lines/s, 2 s left`
[[nodiscard]] std::string progress_text(std::int64_t done, std::int64_t total,
                                        std::chrono::milliseconds elapsed);

/// With a comma before each three digits.
[[nodiscard]] std::string grouped(std::int64_t number);

}  // namespace nomiqon::cli
