// Routes with "reserve": "typical": what is held, what is learned, and what a request costs that was dearer
// than its hold. That the sum of bound − held stays within the limit is the ledger's to keep, and tested
// there.

#include <gtest/gtest.h>

#include "service/authorizer_world.h"

namespace nomiqon::service {
namespace {

Usdc usdc(std::string_view text) {
    return Usdc::parse(text).value();
}

class TypicalHoldTest : public SpendAuthorizerTest {
  protected:
    TypicalHoldTest() { set_route(ReserveMode::typical, "0.50"); }

    void set_route(ReserveMode mode, std::string_view limit) {
        authorizer_.set_routes(
            std::make_shared<const metering::RouteTable>(std::vector{Route{.host = "api.example.com",
                                                                           .mode = RouteMode::intercept,
                                                                           .meter = "openai",
                                                                           .reserve = mode,
                                                                           .overrun_limit = usdc(limit)}}));
    }

    struct Metered {
        SpendRequest request;
        CallPrice price;
    };
    Metered metered(std::string_view bound, std::string model = "small") const {
        Metered asked{.request = request(),
                      .price = {.bound = usdc(bound), .model = std::move(model), .metered = true}};
        asked.request.way = Way::plain;
        asked.request.method = "POST";
        asked.request.path = "/v1/chat/completions";
        return asked;
    }
    using SpendAuthorizerTest::authorize;
    std::expected<Reservation, Refusal> authorize(Metered asked) {
        return authorize_by(authorizer_, std::move(asked));
    }
    static std::expected<Reservation, Refusal> authorize_by(SpendAuthorizer& authorizer, Metered asked) {
        auto admission = test::run(authorizer.admit(std::move(asked.request)));
        if (!admission) return std::unexpected(admission.error());
        return test::run(authorizer.reserve(std::move(*admission), std::move(asked.price)));
    }
    Reservation hold(auto asked) {
        auto reservation = authorize(std::move(asked));
        EXPECT_TRUE(reservation) << code(reservation);
        return std::move(reservation).value();
    }
    /// Twenty requests with a bound of 1 that cost 0.2.
    void learn() {
        for (int i = 0; i < 20; ++i)
            hold(metered("1")).settle(usdc("0.2"));
    }
    const ledger::ReserveCommand& last_asked() const { return ledger_.asked.back(); }
    const ledger::EndCommand& last_ended() const { return ledger_.ended.back(); }
};

TEST_F(TypicalHoldTest, TheBoundIsHeldUntilTwentyCostsAreKnown) {
    for (int i = 0; i < 20; ++i) {
        Reservation reservation = hold(metered("1"));
        EXPECT_EQ(last_asked().typical, std::nullopt);
        EXPECT_EQ(last_asked().overrun_limit, Usdc{});
        EXPECT_EQ(reservation.amount(), usdc("1"));
        reservation.settle(usdc("0.2"));
    }
    const Reservation reservation = hold(metered("2"));
    EXPECT_EQ(last_asked().amount, usdc("2")) << "the ledger is told the bound all the same";
    EXPECT_EQ(last_asked().typical, usdc("0.4"));
    EXPECT_EQ(last_asked().overrun_limit, usdc("0.5"));
    EXPECT_EQ(last_asked().model, "small");
    EXPECT_EQ(reservation.amount(), usdc("0.4"));
}

TEST_F(TypicalHoldTest, TheAmountOfAReservationIsWhatTheLedgerHolds) {
    learn();
    ledger_.least_held = usdc("0.7");
    EXPECT_EQ(hold(metered("1")).amount(), usdc("0.7"));
}

TEST_F(TypicalHoldTest, ARequestDearerThanItsHoldIsSettledInFullAndTeaches) {
    learn();
    for (int i = 0; i < 3; ++i) {
        Reservation reservation = hold(metered("1"));
        EXPECT_EQ(last_asked().typical, i < 2 ? usdc("0.2") : usdc("0.9")) << i;
        reservation.settle(usdc("0.9"));
        EXPECT_EQ(last_ended().amount, usdc("0.9"));
        EXPECT_FALSE(last_ended().unknown);
    }
}

TEST_F(TypicalHoldTest, AnOverrunOfTheBoundIsSettledInFull) {
    learn();
    hold(metered("1")).settle(usdc("1.5"));
    EXPECT_EQ(last_ended().amount, usdc("1.5"));
    EXPECT_FALSE(last_ended().unknown);
}

TEST_F(TypicalHoldTest, InFullMeansTheBoundHoweverLittleIsHeld) {
    learn();
    hold(metered("1")).settle_as_unknown();
    EXPECT_EQ(last_ended().amount, usdc("1"));
    EXPECT_TRUE(last_ended().unknown);
    hold(metered("1")).settle_in_full();
    EXPECT_EQ(last_ended().amount, usdc("1"));
    EXPECT_FALSE(last_ended().unknown);
    {
        const Reservation forgotten = hold(metered("1"));
    }
    EXPECT_EQ(last_ended().amount, usdc("1"));
    EXPECT_TRUE(last_ended().unknown);
}

TEST_F(TypicalHoldTest, OnlyAKnownCostTeaches) {
    for (int i = 0; i < 100; ++i) {
        hold(metered("1")).settle_as_unknown();
        hold(metered("1")).settle_in_full();
        hold(metered("1")).release(RefusalCode::upstream_unreachable);
        hold(metered("1")).settle(Usdc{});  // a 429 of the provider
        const Reservation forgotten = hold(metered("1"));
    }
    hold(metered("1")).release(RefusalCode::upstream_unreachable);
    EXPECT_EQ(last_asked().typical, std::nullopt);
}

TEST_F(TypicalHoldTest, ASecondEndingTeachesNothing) {
    for (int i = 0; i < 20; ++i) {
        Reservation reservation = hold(metered("1"));
        reservation.release(RefusalCode::upstream_unreachable);
        reservation.settle(usdc("0.2"));
        Reservation moved = hold(metered("1"));
        const Reservation owner = std::move(moved);
        moved.settle(usdc("0.2"));  // NOLINT(bugprone-use-after-move): what must do nothing
    }
    hold(metered("1")).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, std::nullopt);
}

TEST_F(TypicalHoldTest, AMovedReservationTeachesOnce) {
    for (int i = 0; i < 10; ++i) {
        Reservation first = hold(metered("1"));
        Reservation second = std::move(first);
        second.settle(usdc("0.2"));
        Reservation third = hold(metered("1"));
        third = hold(metered("1"));  // what it held before is settled as unknown
        if (i < 9) third.settle(usdc("0.2"));
    }
    hold(metered("1")).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, std::nullopt) << "19 so far";
    hold(metered("1")).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, usdc("0.2"));
}

TEST_F(TypicalHoldTest, AnotherModelHostOrAgentBeginsWithItsBound) {
    learn();
    hold(metered("1", "large")).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, std::nullopt);
    hold(metered("1")).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, usdc("0.2"));

    const token::SigningKey other_key = token::SigningKey::generate();
    ledger_.agents.insert_or_assign(other_key.caid().str(),
                                    ledger::AgentSnapshot{AgentId::generate(), 1, "{}"});
    Metered asked = metered("1");
    asked.request.token = other_key.mint(claims());
    hold(std::move(asked)).settle(usdc("0.2"));
    EXPECT_EQ(last_asked().typical, std::nullopt);
}

TEST_F(TypicalHoldTest, ARouteOfBoundsHoldsBoundsWhateverWasLearned) {
    learn();
    set_route(ReserveMode::bound, "0.50");
    EXPECT_EQ(hold(metered("1")).amount(), usdc("1"));
    EXPECT_EQ(last_asked().typical, std::nullopt);
    set_route(ReserveMode::typical, "0");
    EXPECT_EQ(hold(metered("1")).amount(), usdc("1")) << "without a limit nothing may stay below its bound";
    EXPECT_EQ(last_asked().typical, std::nullopt);
    set_route(ReserveMode::typical, "0.10");
    EXPECT_EQ(hold(metered("1")).amount(), usdc("0.2")) << "what was learned outlives a reload";
    EXPECT_EQ(last_asked().overrun_limit, usdc("0.1"));
}

TEST_F(TypicalHoldTest, AFlatPriceIsHeldInFullAndTeachesNothing) {
    authorizer_.set_routes(std::make_shared<const metering::RouteTable>(
        std::vector{Route{.host = "api.example.com",
                          .price = RoutePrice{.per_connection = usdc("1")},
                          .reserve = ReserveMode::typical,
                          .overrun_limit = usdc("5")}}));
    for (int i = 0; i < 30; ++i) {
        Reservation reservation = hold(request());
        EXPECT_EQ(reservation.amount(), usdc("1"));
        EXPECT_EQ(last_asked().typical, std::nullopt);
        reservation.settle(i % 2 == 0 ? usdc("0.2") : Usdc{});
    }
}

TEST_F(TypicalHoldTest, ARefusalOfAMeteredRequestIsRecordedWithItsModelAndBound) {
    learn();
    ledger_.answers.push_back(ledger::ReserveRefused{RefusalCode::policy_cap_exceeded, std::nullopt});
    EXPECT_EQ(code(authorize(metered("1"))), "policy_cap_exceeded");
    ASSERT_EQ(ledger_.refusals.size(), 1U);
    EXPECT_EQ(ledger_.refusals[0].model, "small");
    EXPECT_EQ(ledger_.refusals[0].amount, usdc("1"));
}

TEST_F(TypicalHoldTest, AReservationMayOutliveItsAuthorizer) {
    auto other =
        std::make_unique<SpendAuthorizer>(ledger_, clock_, authorizer_.routes(), SpendAuthorizer::Options{});
    auto reservation = authorize_by(*other, metered("1"));
    ASSERT_TRUE(reservation);
    other.reset();
    reservation->settle(usdc("0.2"));
    EXPECT_EQ(last_ended().amount, usdc("0.2"));
}

}  // namespace
}  // namespace nomiqon::service
