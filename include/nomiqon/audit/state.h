#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/audit/chain.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

// How an agent's money stands after some line of its chain. Plain values.
namespace nomiqon::audit {

struct Head {
    std::int64_t seq = 0;
    Hash hash = genesis;
    friend bool operator==(const Head&, const Head&) = default;
};

/// As the row of nomiqon.wallets: `balance` includes what is held.
struct Balances {
    Usdc balance, reserved, spent, exposed;
    friend bool operator==(const Balances&, const Balances&) = default;
};

struct DayTotals {
    Usdc spent, reserved;
    friend bool operator==(const DayTotals&, const DayTotals&) = default;
};

struct TokenKey {
    std::string caid;
    std::int64_t exp = 0;
    std::string id;
};

struct OpenReservation {
    std::string transaction;
    Day day;
    std::string host;
    Usdc held, bound;
    TokenKey token;
};

/// Settled in full because its gateway was gone, and not corrected yet.
struct ExpiredReservation {
    std::string transaction;
    Day day;
    std::string host;
    Usdc booked;
    TokenKey token;
};

struct UsedToken {
    TokenKey key;
    bool session = false;
    Usdc spent, reserved;
};

/// Where an audit begins: nothing at all, or what the lines up to `head` added up to.
struct Opening {
    Head head;
    Balances balances;
    std::map<Day, DayTotals> days;
    std::vector<OpenReservation> open;
    std::vector<ExpiredReservation> expired;
    std::vector<UsedToken> tokens;
};

/// As GET /v1/ledger/opening and the head of an evidence file write it. The error names the member that is
/// wrong.
[[nodiscard]] std::expected<Opening, std::string> parse_opening(const nlohmann::json& document);

}  // namespace nomiqon::audit
