#include <map>

#include "ledger_world.h"

// The life of a reservation, as a table, and the SQL functions held against each of its cells:
//
//              settle        release       settle as unknown   expire
//   reserved   settled       released      settled             expired
//   settled    –             –             –                   –
//   released   –             –             –                   –
//   expired    corrected     corrected     –                   –
//   corrected  –             –             –                   –

namespace nomiqon::ledger {
namespace {

enum class State : std::uint8_t { reserved, settled, released, expired, corrected };
enum class Event : std::uint8_t { settle, release, settle_as_unknown, expire };
constexpr std::array events{Event::settle, Event::release, Event::settle_as_unknown, Event::expire};

// Where an event leads; nothing: it takes no effect.
const std::map<std::pair<State, Event>, State> transitions{
    {{State::reserved, Event::settle}, State::settled},
    {{State::reserved, Event::release}, State::released},
    {{State::reserved, Event::settle_as_unknown}, State::settled},
    {{State::reserved, Event::expire}, State::expired},
    {{State::expired, Event::settle}, State::corrected},
    {{State::expired, Event::release}, State::corrected},
};

class StateMachineTest : public PostgresLedgerTest {
  protected:
    State state_of(const std::string& transaction) const {
        const std::string found = value(
            "select coalesce((select 'corrected' from nomiqon.corrections where transaction_id = '" +
            transaction +
            "'), (select case when reason = 'expired' then 'expired' else ending end from nomiqon.endings "
            "where transaction_id = '" +
            transaction + "'), 'reserved')");
        const std::map<std::string, State> names{{"reserved", State::reserved},
                                                 {"settled", State::settled},
                                                 {"released", State::released},
                                                 {"expired", State::expired},
                                                 {"corrected", State::corrected}};
        return names.at(found);
    }
    // What the database answers; an expiry answers nothing.
    std::string happen(Event event, const std::string& transaction) {
        if (event == Event::expire) {
            value("update nomiqon.gateways set swept_at = null, gone_at = now() - interval '1 s'");
            value("select nomiqon.expire_reservations(100)");
            value("update nomiqon.gateways set gone_at = null");
            return "";
        }
        const std::string ending = event == Event::release ? "released" : "settled";
        const std::string unknown = event == Event::settle_as_unknown ? "true" : "false";
        const std::string cost = event == Event::settle ? "250000000" : "0";
        return value("select outcome from nomiqon.work('gw', array['" + agent_.str() + "'], array[row(1, '" +
                     transaction + "', null, '" + ending + "', " + cost + ", " + unknown +
                     ", null, null, null)::nomiqon.end_command], '{}')");
    }
    // Everything that an event could change.
    std::string books() const {
        return value(
            "select row(w.balance, w.reserved, w.spent, w.chain_seq, (select count(*) from "
            "nomiqon.transfers), "
            "(select sum(spent) from nomiqon.agent_days))::text from nomiqon.wallets w");
    }
};

TEST_F(StateMachineTest, EveryEventInEveryStateLeadsWhereTheTableSays) {
    const std::map<State, std::vector<Event>> ways{{State::reserved, {}},
                                                   {State::settled, {Event::settle}},
                                                   {State::released, {Event::release}},
                                                   {State::expired, {Event::expire}},
                                                   {State::corrected, {Event::expire, Event::settle}}};
    for (const auto& [state, way] : ways) {
        for (const Event event : events) {
            const ReserveCommand asked = command("1");
            ASSERT_TRUE(is_reserved(reserve(asked)));
            const std::string transaction = asked.transaction.str();
            for (const Event before : way)
                happen(before, transaction);
            ASSERT_EQ(state_of(transaction), state);

            const std::string before = books();
            const std::string answer = happen(event, transaction);
            const auto transition = transitions.find({state, event});
            EXPECT_EQ(state_of(transaction), transition == transitions.end() ? state : transition->second);
            EXPECT_EQ(books() == before, transition == transitions.end())
                << "an event without effect has none";
            if (event != Event::expire) {
                EXPECT_EQ(answer, transition == transitions.end()          ? "already_ended"
                                  : transition->second == State::corrected ? "corrected"
                                                                           : "ended");
            }
            happen(Event::release, transaction);  // so that the next begins with nothing open
        }
    }
    expect_books_agree();
}

}  // namespace
}  // namespace nomiqon::ledger
