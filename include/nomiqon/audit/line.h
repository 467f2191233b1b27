#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

// One line of an agent's chain: a movement of money between two accounts, as the JSON array that PostgreSQL's
// json_build_array writes, with ", " between the members:
//
//   movement   kind, seq, agent, day "YYYY-MM-DD", at (microseconds since 1970), debit, credit, amount (1e-9
//   USDC),
//              transaction | null, reference | null
//   reserve    movement, request, gateway, caid, policy version, bound, overrun limit, daily cap | null,
//   total cap |
//              null, token's max | null, scheme, host, port, method, model | null, ref | null, token's id,
//              its exp, whether it is a session's, the signed token
//   ending     movement, "settled" | "released", the whole cost, unknown, overrun, reason | null,
//              model | null, basis | null, the reservation's day
//   correct    movement, the true cost, reason | null, model | null, basis | null, the reservation's day
//
// A basis is how the cost was computed: metering's words, in which the price book has its version.
namespace nomiqon::audit {

enum class Kind : std::uint8_t { fund, give_back, adjust, reserve, settle, release, correct };
[[nodiscard]] std::string_view to_string(Kind kind);  ///< `return` for give_back

inline constexpr std::string_view treasury = "treasury";
inline constexpr std::string_view wallet = "wallet";
inline constexpr std::string_view held = "held";
[[nodiscard]] std::string provider(std::string_view host);  ///< the account `provider:<host>`

/// What every line begins with.
struct Movement {
    Kind kind = Kind::fund;
    std::int64_t seq = 0;
    std::string agent;
    Day day;
    Time at;
    std::string debit;   ///< the account that gives
    std::string credit;  ///< the account that takes
    Usdc amount;
    std::optional<std::string> transaction;
    std::optional<std::string> reference;
};

/// Of a fund, return or adjust, and of an ending's second line: there is no more to say.
struct Plain {};

struct Reservation {
    std::string request, gateway, caid;
    std::int64_t policy_version = 0;
    Usdc bound, overrun_limit;
    std::optional<Usdc> daily_cap, total_cap, token_max;
    std::string scheme, host;
    std::int64_t port = 0;
    std::string method;
    std::optional<std::string> model, ref;
    std::string token_id;
    std::int64_t token_exp = 0;
    bool token_session = false;
    std::string token;  ///< as the agent signed it
};

struct EndingLine {
    bool settled = false;  ///< else released
    Usdc cost;
    bool unknown = false, overrun = false;
    std::optional<std::string> reason, model, basis;
    Day reservation_day;
};

struct Correction {
    Usdc cost;
    std::optional<std::string> reason, model, basis;
    Day reservation_day;
};

struct Line {
    Movement movement;
    std::variant<Plain, Reservation, EndingLine, Correction> details;
};

/// Reads a line and takes nothing but what PostgreSQL writes: each kind with exactly its members, canonical
/// integers and escapes, valid UTF-8, amounts not below zero. So no two readers can differ about what was
/// chained. The error is a sentence that quotes nothing of the line.
[[nodiscard]] std::expected<Line, std::string> parse_line(std::string_view text);

}  // namespace nomiqon::audit
