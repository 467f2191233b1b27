#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/audit/chain.h"
#include "nomiqon/audit/invariant.h"
#include "nomiqon/audit/state.h"

namespace nomiqon::audit {

/// How many rows the lines stand for.
struct RowCounts {
    std::int64_t transfers = 0, reservations = 0, endings = 0, corrections = 0;
    friend bool operator==(const RowCounts&, const RowCounts&) = default;
};

/// Replays one agent's chain, line after line, and says of the first line that breaks an invariant which one,
/// and why. It believes nothing but the lines, and an opening where it doesn't begin with the first. One
/// thread.
///
/// Memory grows with what is open, with days, and with the token ids that can still be used: an id is
/// forgotten an hour after its token expired, as the ledger does.
class Auditor {
  public:
    struct Options {
        /// Whether each reservation's token is opened: its signature, and its claims against the line. What
        /// is about the ids of tokens is checked all the same.
        bool tokens = true;
        /// The identities that belong to the agent, where they are known.
        std::optional<std::vector<std::string>> caids{};
        /// What an ending's basis leads to; nothing where it can't be computed again. Empty: not checked.
        std::function<std::optional<Usdc>(std::string_view basis)> recompute{};
    };

    explicit Auditor(std::string agent) : Auditor(std::move(agent), Options{}) {}
    Auditor(std::string agent, Options options, const Opening& opening = {});
    ~Auditor();
    Auditor(Auditor&&) noexcept;
    Auditor& operator=(Auditor&&) noexcept;

    /// After a finding the replay has ended: what would follow means nothing.
    [[nodiscard]] std::optional<Finding> add(std::string_view line, const Hash& hash);
    /// Whether the last line may be the last: an ending that has its second line still to come may not.
    [[nodiscard]] std::optional<Finding> finish() const;

    [[nodiscard]] const std::string& agent() const;
    [[nodiscard]] const Head& head() const;
    [[nodiscard]] const Balances& balances() const;
    [[nodiscard]] const std::map<Day, DayTotals>& days() const;
    [[nodiscard]] const RowCounts& counts() const;  ///< since the opening
    [[nodiscard]] std::vector<OpenReservation> open() const;

  private:
    class Replay;
    std::unique_ptr<Replay> replay_;
};

/// An agent's stored rows, as the ledger keeps them beside the chain.
struct StoredRows {
    Head head;
    Balances balances;
    std::map<Day, DayTotals> days;
    std::optional<RowCounts> counts{};  ///< none: not counted
};

/// Whether the stored rows are what a replay up to their head added up to.
[[nodiscard]] std::optional<Finding> compare(const Auditor& auditor, const StoredRows& stored);

}  // namespace nomiqon::audit
