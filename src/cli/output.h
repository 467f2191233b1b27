#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failure.h"
#include "json_value.h"

namespace nomiqon::cli {

struct Column {
    std::string title;
    bool right = false;  ///< amounts and counts
};

struct Table {
    std::vector<Column> columns;
    std::vector<std::vector<std::string>> rows;
};

/// One thing, a line for each of its properties. Empty values are left out.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// Writes results to standard output; notes and failures to standard error, so that a pipe holds data only.
class Output {
  public:
    explicit Output(bool json);

    [[nodiscard]] bool json() const { return json_; }
    void data(const Json& value);      ///< for `--json`
    void line(std::string_view text);  ///< control characters are shown as escapes
    void raw(std::string_view text);   ///< as it is
    void table(const Table& table, std::string_view when_empty);
    void fields(const Fields& fields);
    void note(std::string_view text);
    void failure(const Failure& failure);
    /// Whether everything could be written: a full disk must not look like success.
    [[nodiscard]] bool finish();

  private:
    bool json_;
    bool bold_;  // standard output is a terminal that wants it
};

/// `2026-05-24T12:00:00.000Z` as `2026-05-24 12:00:00Z`; any other text as it is.
[[nodiscard]] std::string short_time(std::string_view time);

/// A table of whatever members the rows have: those of `first` that there are, then the others; amounts and
/// numbers to the right.
[[nodiscard]] Table table_of(const Json& rows, const std::vector<std::string>& first);

}  // namespace nomiqon::cli
