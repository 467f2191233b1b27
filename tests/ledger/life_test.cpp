#include "ledger_world.h"

// The life of a reservation past the ordinary: expiry and what comes after it, days, typical holds,
// partitions.

namespace nomiqon::ledger {
namespace {

class LifeTest : public PostgresLedgerTest {
  protected:
    std::string of_day(const std::string& column, const std::string& day) {
        return value("select coalesce(max(" + column + "), 0) from nomiqon.agent_days where day = '" + day +
                     "'");
    }
    // The reservation expires, as if its gateway had died, while this one lives on to settle it.
    void expire() {
        value(
            "update nomiqon.gateways set lease_until = nomiqon.internal_now() - interval '1 s', "
            "gone_at = nomiqon.internal_now()");
        value("select nomiqon.expire_reservations(100)");
        eventually("select bool_and(unknown and reason = 'expired') from nomiqon.endings", "t");
    }
};

TEST_F(LifeTest, ALateSettlementCorrectsAnExpiredReservationOnce) {
    const ReserveCommand asked = command("2");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    expire();
    EXPECT_EQ(wallet("spent"), "2000000000");
    for (int i = 0; i < 3; ++i)
        ledger_->end(settlement(asked, "0.5"));
    eventually("select amount from nomiqon.corrections", "500000000");
    ledger_->end(settlement(asked, "0.75"));
    ASSERT_TRUE(is_reserved(reserve(command("1"))));
    EXPECT_EQ(wallet("spent"), "500000000");
    EXPECT_EQ(wallet("balance"), "99500000000");
    EXPECT_EQ(value("select kind || ' ' || debit || ' ' || credit || ' ' || amount from nomiqon.transfers "
                    "where kind = 'correct'"),
              "correct provider:api.example.com wallet 1500000000");
    EXPECT_EQ(
        value("select amount || ' ' || unknown from nomiqon.internal_accepted where status = 'settled'"),
        "500000000 false");
    expect_books_agree();
}

TEST_F(LifeTest, ALateReleaseOrADearerSettlementCorrectsToo) {
    const ReserveCommand released = command("2");
    const ReserveCommand dearer = command("2");
    ASSERT_TRUE(is_reserved(reserve(released)));
    ASSERT_TRUE(is_reserved(reserve(dearer)));
    expire();
    EndCommand release = settlement(released, "0");
    release.ending = Ending::released;
    ledger_->end(release);
    ledger_->end(settlement(dearer, "2.25"));
    eventually("select count(*) from nomiqon.corrections", "2");
    EXPECT_EQ(wallet("spent"), "2250000000");
    EXPECT_EQ(value("select count(*) from nomiqon.internal_accepted where overrun"), "1");
    expect_books_agree();
}

TEST_F(LifeTest, AnExpiryLooksOnlyAtWhatItsGatewayMayStillHold) {
    const ReserveCommand ended = command("1");
    ASSERT_TRUE(is_reserved(reserve(ended)));
    ledger_->end(settlement(ended, "1"));
    eventually("select count(*) from nomiqon.endings", "1");
    const ReserveCommand open = command("2");
    ASSERT_TRUE(is_reserved(reserve(open)));
    ledger_->stop(Duration{1000});
    start(Duration{400});  // renews every 100 ms
    const ReserveCommand other = command("3");
    ASSERT_TRUE(is_reserved(reserve(other)));
    eventually("select count(*) from nomiqon.gateways where oldest_open > 'txn_' and oldest_open <= '" +
                   other.transaction.str() + "'",
               "2");
    ledger_->end(settlement(other, "3"));
    eventually("select count(*) from nomiqon.endings where reason = 'expired'",
               "1");  // `open`, of the first gateway
    EXPECT_EQ(wallet("spent"), "6000000000");
}

TEST_F(LifeTest, WhatEndedOtherwiseIsNeverCorrected) {
    const ReserveCommand asked = command("2");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    EndCommand unknown = settlement(asked, "0");
    unknown.unknown = true;
    ledger_->end(unknown);
    ledger_->end(settlement(asked, "0.5"));
    eventually("select count(*) from nomiqon.endings", "1");
    ASSERT_TRUE(is_reserved(reserve(command("1"))));
    EXPECT_EQ(wallet("spent"), "2000000000");
    EXPECT_EQ(value("select count(*) from nomiqon.corrections"), "0");
}

TEST_F(LifeTest, ANewDayStartsAtNothingAndWhatWasHeldStaysWithItsDay) {
    // BerriAI/litellm 38686: resets that don't reset. Here nothing resets: a day is a row.
    agent_column("daily_cap = 1000000000");
    set_clock("2026-05-23 23:59:59.9Z");
    ReserveCommand held = command("1");
    held.token_exp = unix_seconds(*parse_time("2026-05-24T00:01:00Z"));
    ASSERT_TRUE(is_reserved(reserve(held)));
    ReserveCommand next = command("1");
    next.token_exp = held.token_exp;
    EXPECT_EQ(code_of(reserve(next)), RefusalCode::policy_cap_reserved);
    set_clock("2026-05-24 00:00:00Z");
    ASSERT_TRUE(is_reserved(reserve(next)));
    EndCommand settled = settlement(held, "1.25");
    settled.day = *parse_day("2026-05-23");
    ledger_->end(settled);
    eventually("select count(*) from nomiqon.endings", "1");
    EXPECT_EQ(of_day("spent", "2026-05-23"), "1250000000");
    EXPECT_EQ(of_day("reserved", "2026-05-23"), "0");
    EXPECT_EQ(of_day("spent", "2026-05-24"), "0");
    EXPECT_EQ(of_day("reserved", "2026-05-24"), "1000000000");
    expect_books_agree();
}

TEST_F(LifeTest, ACapLoweredBelowWhatIsSpentRefusesAndTakesNothingBack) {
    const ReserveCommand open = command("3");
    ASSERT_TRUE(is_reserved(reserve(open)));
    agent_column("daily_cap = 1000000000, policy_version = 2");
    value("insert into nomiqon.policies values ('" + agent_.str() + "', 2, 'p', '{}', now(), 'test', null)");
    ledger_->end(settlement(open, "3"));
    eventually("select count(*) from nomiqon.endings", "1");
    ReserveCommand asked = command("0.1");
    asked.policy_version = 2;
    const auto answer = reserve(asked);
    ASSERT_EQ(code_of(answer), RefusalCode::policy_cap_exceeded);
    EXPECT_EQ(std::get<ReserveRefused>(*answer).cap->spent, usdc("3"));
    EXPECT_EQ(wallet("spent"), "3000000000");
}

TEST_F(LifeTest, ATypicalHoldLeavesNoMoreUncoveredThanItsLimit) {
    const auto typical = [&](std::string_view bound, std::string_view hold) {
        ReserveCommand asked = command(bound);
        asked.typical = usdc(hold);
        asked.overrun_limit = usdc("1");
        return asked;
    };
    const auto held = [](const std::expected<ReserveAnswer, LedgerError>& answer) {
        return std::get<Reserved>(*answer).amount;
    };
    const ReserveCommand first = typical("1", "0.2");
    EXPECT_EQ(held(reserve(first)), usdc("0.2"));                // 0.8 uncovered
    EXPECT_EQ(held(reserve(typical("1", "0.2"))), usdc("0.8"));  // only 0.2 more may be
    EXPECT_EQ(held(reserve(typical("1", "0.2"))), usdc("1"));    // nothing more
    EXPECT_EQ(held(reserve(command("1"))), usdc("1"));
    EXPECT_EQ(wallet("exposed"), "1000000000");

    ledger_->end(settlement(first, "0.9"));  // dearer than what was held: marked, and counted
    eventually("select overrun || ' ' || amount from nomiqon.endings", "true 900000000");
    EXPECT_EQ(wallet("exposed"), "200000000");
    EXPECT_EQ(held(reserve(typical("1", "0.2"))), usdc("0.2"));
    expect_books_agree();
}

TEST_F(LifeTest, AnUnknownEndOfATypicalHoldIsSettledAtItsBound) {
    ReserveCommand asked = command("1");
    asked.typical = usdc("0.25");
    asked.overrun_limit = usdc("5");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    expire();
    EXPECT_EQ(wallet("spent"), "1000000000");
    expect_books_agree();
}

TEST_F(LifeTest, ATerminatedAgentsMoneyGoesBackOnceNothingIsHeld) {
    const ReserveCommand asked = command("2");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    agent_column("status = 'terminated'");
    ledger_->end(settlement(asked, "1.5"));
    eventually("select balance from nomiqon.wallets", "0");
    EXPECT_EQ(value("select amount from nomiqon.transfers where kind = 'return'"), "98500000000");
}

TEST_F(LifeTest, TokenIdsAreDroppedADayAtATimeAnHourAfterTheyExpired) {
    set_clock("2026-05-23 12:00:00Z");
    ReserveCommand asked = command("1");
    asked.token_exp = unix_seconds(*parse_time("2026-05-23T12:01:00Z"));
    ASSERT_TRUE(is_reserved(reserve(asked)));
    set_clock("2026-05-24 00:59:59Z");
    value("select nomiqon.forget_expired()");
    EXPECT_EQ(value("select count(*) from nomiqon.tokens"), "1");
    EXPECT_EQ(value("select to_regclass('nomiqon.tokens_20260522')"), "");
    set_clock("2026-05-24 01:00:01Z");
    value("select nomiqon.forget_expired()");
    EXPECT_EQ(value("select to_regclass('nomiqon.tokens_20260523')"), "");
    asked.transaction = TransactionId::generate();
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::spend_token_expired);
}

TEST_F(LifeTest, DaysAreMadeAheadAndAWeekAwayIsNoObstacle) {
    EXPECT_NE(
        value("select to_regclass('nomiqon.transfers_' || to_char((now() at time zone 'UTC')::date + 3, "
              "'YYYYMMDD'))"),
        "");
    // Nobody renewed a lease for a week: the first who does makes what is missing.
    value(
        "create or replace function nomiqon.internal_now() returns timestamptz language sql as $$ select "
        "clock_timestamp() + interval '9 days' $$");
    ledger_->stop(Duration{1000});
    start(Duration{60'000});
    ReserveCommand asked = command("1");
    asked.token_exp += std::int64_t{9} * 86'400;
    EXPECT_TRUE(is_reserved(reserve(asked)));
}

TEST_F(LifeTest, EveryMovementIsInTheChainOfItsAgent) {
    const ReserveCommand settled = command("2");
    const ReserveCommand free = command("0");
    ASSERT_TRUE(is_reserved(reserve(settled)));
    ASSERT_TRUE(is_reserved(reserve(free)));
    ledger_->end(settlement(settled, "1.5"));
    eventually("select count(*) from nomiqon.endings", "1");
    ledger_->end(settlement(free, "0"));
    eventually("select count(*) from nomiqon.endings", "2");
    // reserve, reserve, settle and release of the rest, settle at 0
    EXPECT_EQ(value("select string_agg(kind || ':' || amount, ' ' order by seq) from nomiqon.transfers"),
              "reserve:2000000000 reserve:0 settle:1500000000 release:500000000 settle:0");
    EXPECT_EQ(wallet("chain_seq"), "5");
    EXPECT_EQ(value("select chain_hash = (select hash from nomiqon.transfers order by seq desc limit 1) from "
                    "nomiqon.wallets"),
              "t");
}

}  // namespace
}  // namespace nomiqon::ledger
