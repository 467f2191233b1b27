#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nomiqon::audit {

/// What is always true of an agent's money. The table in invariant.cpp says each in a sentence; the unit
/// tests, the simulation, `nomiqon ledger verify` and its documentation all mean these.
enum class Invariant : std::uint8_t {
    form,
    sequence,
    chain,
    owner,
    day,
    accounts,
    identity,
    token_proof,
    token_life,
    token_binding,
    token_once,
    session_max,
    held_amount,
    overrun_limit,
    wallet,
    total_cap,
    daily_cap,
    ends_once,
    cost,
    charge,
    second_line,
    correction,
    books,
    stored,
};

struct InvariantInfo {
    Invariant invariant;
    std::string_view name;       ///< `daily_cap`
    std::string_view statement;  ///< what is always true
};

/// In the order of the enumeration.
[[nodiscard]] std::span<const InvariantInfo> invariants();
[[nodiscard]] const InvariantInfo& info(Invariant invariant);

/// Where an invariant doesn't hold, and why that is known. Holds no token and nothing else that an agent
/// keeps secret.
struct Finding {
    Invariant invariant;
    std::string agent;
    std::int64_t seq = 0;  ///< of the line; 0: of no line in particular
    std::optional<std::string> transaction{};
    std::string what{};  ///< a sentence
};

}  // namespace nomiqon::audit
