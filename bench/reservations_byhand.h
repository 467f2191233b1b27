#pragma once

#include <cstddef>
#include <string>

#include "reservations_machine.h"
#include "reservations_report.h"

namespace nomiqon::bench {

/// What people write by hand, as well as it can be written: prepared statements, one connection a client, a
/// row that leaves room for HOT updates, a lean table of reservations. No replay check, no chain, no double
/// entry, no token kept: whatever they leave out is to their advantage here.
enum class ByHand {
    for_update,            ///< BEGIN, SELECT … FOR UPDATE, UPDATE, INSERT, COMMIT, a round trip each
    for_update_pipelined,  ///< the same in two round trips, by libpq's pipeline mode
    one_update,       ///< UPDATE … WHERE spent + x <= cap, and nothing else: the floor of unbatched designs
    function_call,    ///< one function in the database that inserts, checks and updates
    function_of_all,  ///< one function that does what the ledger does: wallet, day, token id, transfer, chain
    one_insert,       ///< no money at all: what a commit costs
};

struct ByHandLoad {
    ByHand kind = ByHand::for_update;
    std::size_t clients = 64;
    std::size_t agents = 1;
    double seconds = 1;
};

/// Makes schema `byhand` with `agents` of them.
void make_byhand(const std::string& owner_url, std::size_t agents);
[[nodiscard]] Sample measure_byhand(const std::string& owner_url, const ByHandLoad& load, const Cpu& cpu);

}  // namespace nomiqon::bench
