#include <fstream>
#include <iterator>

#include "chain_builder.h"

namespace nomiqon::audit {
namespace {

Usdc amount(std::int64_t nanos) {
    return Usdc::from_nanos(nanos);
}

/// One of everything: settled for less, for all, for more; released; expired and corrected; free; refunded;
/// midnight.
ChainBuilder honest() {
    ChainBuilder chain;
    chain.fund(20 * usdc);                                    // 1
    const auto less = chain.reserve({.ref = "run \"7\" é"});  // 2
    const auto all =
        chain.reserve({.method = "GET", .htm = "GET", .htu = "https://api.llm.example/v1"});  // 3
    chain.settle(less, usdc / 4);                                                             // 4, 5
    chain.settle(all, usdc);                                                                  // 6
    const auto given_back = chain.reserve();                                                  // 7
    chain.release(given_back);                                                                // 8
    const auto more = chain.reserve();                                                        // 9
    chain.settle(more, 2 * usdc);                                                             // 10, 11
    const auto lost = chain.reserve();                                                        // 12
    const auto lost_dearer = chain.reserve();                                                 // 13
    chain.expire(lost);                                                                       // 14
    chain.expire(lost_dearer);                                                                // 15
    chain.correct(lost, usdc, usdc / 2);                                                      // 16
    chain.correct(lost_dearer, usdc, 2 * usdc);                                               // 17
    const auto free = chain.reserve({.held = 0});                                             // 18
    chain.settle(free, 0);                                                                    // 19
    chain.adjust(usdc);                                                                       // 20
    chain.adjust(-usdc / 2);                                                                  // 21
    const auto over_midnight = chain.reserve({.lives = 250});                                 // 22
    chain.now += std::chrono::hours{12};
    chain.settle(over_midnight, usdc / 10);  // 23, 24
    chain.reserve();                         // 25: stays open
    return chain;
}

TEST(Auditor, AnHonestChainIsClean) {
    const auto chain = honest();
    Auditor auditor{agent_id, {.caids = std::vector{chain.key.caid().str()}}};
    const auto finding = audit_of(chain, auditor);
    ASSERT_FALSE(finding) << finding->what << " at " << finding->seq;
    const std::int64_t spent = usdc / 4 + usdc + 2 * usdc + usdc / 2 + 2 * usdc + usdc / 10;
    EXPECT_EQ(auditor.balances(), (Balances{.balance = amount(20 * usdc + usdc / 2 - spent),
                                            .reserved = amount(usdc),
                                            .spent = amount(spent),
                                            .exposed = {}}));
    const std::map<Day, DayTotals> days{{parse_day("2026-05-24").value(), {amount(spent), {}}},
                                        {parse_day("2026-05-25").value(), {{}, amount(usdc)}}};
    EXPECT_EQ(auditor.days(), days);
    EXPECT_EQ(auditor.head(), (Head{25, chain.entries.back().hash}));
    EXPECT_EQ(auditor.counts(), (RowCounts{25, 9, 8, 2}));
    ASSERT_EQ(auditor.open().size(), 1U);
    EXPECT_EQ(auditor.open().front().held, amount(usdc));
}

TEST(Auditor, AChangedLineBreaksTheChainThere) {
    auto chain = honest();
    auto& line = chain.entries[5].line;
    line.replace(line.find("1000000000"), 1, "2");
    EXPECT_EQ(told(audit_of(chain)), "chain at 6");
}

TEST(Auditor, AChangedHashBreaksTheChainThere) {
    auto chain = honest();
    chain.entries[5].hash[31] ^= 1;
    EXPECT_EQ(told(audit_of(chain)), "chain at 6");
}

TEST(Auditor, AMissingLineLeavesAGap) {
    auto chain = honest();
    chain.entries.erase(chain.entries.begin() + 6);
    EXPECT_EQ(told(audit_of(chain)), "sequence at 8");
}

TEST(Auditor, ALineThatStandsTwiceIsFound) {
    auto chain = honest();
    chain.entries.insert(chain.entries.begin() + 6, chain.entries[5]);
    EXPECT_EQ(told(audit_of(chain)), "sequence at 6");
}

TEST(Auditor, AnotherAgentsLineIsFound) {
    auto chain = honest();
    chain.forge(6, agent_id, "ag_01hx0000000000000000000001");
    EXPECT_EQ(told(audit_of(chain)), "owner at 6");
}

TEST(Auditor, AnUnknownKindIsFound) {
    auto chain = honest();
    chain.forge(1, "fund", "gift");
    EXPECT_EQ(told(audit_of(chain)), "form at 1");
}

TEST(Auditor, AMovementsDayIsThatOfItsTime) {
    auto chain = honest();
    chain.forge(6, "2026-05-24", "2026-05-23");
    EXPECT_EQ(told(audit_of(chain)), "day at 6");
}

TEST(Auditor, AnEndingCountsOnItsReservationsDay) {
    auto chain = honest();
    chain.forge(23, "\"2026-05-24\"]", "\"2026-05-25\"]");
    EXPECT_EQ(told(audit_of(chain)), "day at 23");
}

TEST(Auditor, MoneyGoesToWhomItWasReservedFor) {
    auto chain = honest();
    chain.forge(6, "provider:api.llm.example", "provider:other.example");
    const auto finding = audit_of(chain);
    EXPECT_EQ(told(finding), "accounts at 6");
    EXPECT_TRUE(finding->transaction && finding->transaction->starts_with("txn_"));
}

TEST(Auditor, FundingComesFromTheTreasury) {
    auto chain = honest();
    chain.forge(1, "\"treasury\"", "\"provider:x\"");
    EXPECT_EQ(told(audit_of(chain)), "accounts at 1");
}

TEST(Auditor, AnAdjustmentNeedsAReason) {
    auto chain = honest();
    chain.forge(20, "\"a refund\"", "null");
    EXPECT_EQ(told(audit_of(chain)), "form at 20");
}

TEST(Auditor, AStrangersIdentityIsFound) {
    const auto chain = honest();
    Auditor auditor{agent_id, {.caids = std::vector{token::SigningKey::generate().caid().str()}}};
    EXPECT_EQ(told(audit_of(chain, auditor)), "identity at 2");
}

TEST(Auditor, ATokenThatNobodySignedIsFound) {
    auto chain = honest();
    chain.forge(7, "\"jti-0000-0000-100006\"", "\"jti-0000-0000-999999\"");
    EXPECT_EQ(told(audit_of(chain)), "token_proof at 7");
    EXPECT_EQ(told(audit_of(chain, false)), "clean") << "signatures were not asked for";

    ChainBuilder forged;
    forged.fund(usdc);
    auto text = forged.key.mint({.iat = unix_seconds(forged.now), .exp = unix_seconds(forged.now) + 60});
    text.back() = text.back() == 'A' ? 'Q' : 'A';
    forged.reserve({.token = text});
    EXPECT_EQ(told(audit_of(forged)), "token_proof at 2");

    ChainBuilder others;
    others.fund(usdc);
    others.reserve({.caid = token::SigningKey::generate().caid().str()});
    EXPECT_EQ(told(audit_of(others)), "token_proof at 2");
}

TEST(Auditor, WhatTheLineSaysOfItsTokenIsSigned) {
    for (const auto& [from, to] :
         std::vector<std::pair<std::string, std::string>>{{"2000000000, \"https\"", "3000000000, \"https\""},
                                                          {"\"task-1\"", "\"task-2\""},
                                                          {", true, ", ", false, "}}) {
        ChainBuilder chain;
        chain.fund(9 * usdc);
        chain.reserve({.token_max = 2 * usdc, .ref = "task-1", .session = true});
        EXPECT_EQ(told(audit_of(chain)), "clean");
        chain.forge(2, from, to);
        EXPECT_EQ(told(audit_of(chain)), "token_proof at 2") << to;
    }
}

TEST(Auditor, AnExpiredTokenIsFound) {
    ChainBuilder chain;
    chain.fund(usdc);
    chain.reserve({.lives = 0, .token = "x"});
    EXPECT_EQ(told(audit_of(chain)), "token_life at 2");
}

TEST(Auditor, ABoundTokenIsForItsRequestOnly) {
    for (const auto& ask : {Ask{.method = "GET", .htm = "POST"}, Ask{.htu = "https://other.example"},
                            Ask{.htu = "http://api.llm.example"}, Ask{.htu = "https://api.llm.example:8443"},
                            Ask{.scheme = "http", .htm = "CONNECT"}}) {
        ChainBuilder chain;
        chain.fund(usdc);
        chain.reserve(ask);
        EXPECT_EQ(told(audit_of(chain)), "token_binding at 2");
    }
    ChainBuilder chain;
    chain.fund(usdc);
    chain.reserve({.htm = "CONNECT", .htu = "https://API.llm.example:443/"});
    EXPECT_EQ(told(audit_of(chain)), "clean");
}

TEST(Auditor, AOnceTokenIsUsedOnceAndASessionOften) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const auto exp = unix_seconds(chain.now) + 60;
    chain.reserve({.jti = "jti-0000-0000-same"});
    chain.reserve({.jti = "jti-0000-0000-same"});
    ASSERT_NE(chain.entries[2].line.find(std::to_string(exp)), std::string::npos);
    EXPECT_EQ(told(audit_of(chain)), "token_once at 3");
    EXPECT_EQ(told(audit_of(chain, false)), "token_once at 3");

    ChainBuilder session;
    session.fund(9 * usdc);
    for (int i = 0; i < 3; ++i)
        session.reserve({.token_max = 3 * usdc, .jti = "jti-0000-0000-same", .session = true});
    EXPECT_EQ(told(audit_of(session)), "clean");
    session.reserve({.jti = "jti-0000-0000-same"});
    EXPECT_EQ(told(audit_of(session, false)), "token_once at 5") << "a session's id is not a once token's";
}

TEST(Auditor, TokenIdsAreForgottenAnHourAfterTheyExpired) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    chain.reserve({.held = 0});
    Auditor auditor{agent_id};
    ASSERT_FALSE(audit_of(chain, auditor));
    chain.now += std::chrono::hours{3};
    chain.reserve({.held = 0});
    EXPECT_EQ(told(audit_of(chain)), "clean");
}

TEST(Auditor, ASessionNeverPassesItsMax) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const Ask ask{.token_max = 2 * usdc, .jti = "jti-0000-0000-same", .session = true};
    const auto first = chain.reserve(ask);
    chain.reserve(ask);
    chain.settle(first, usdc / 2);  // 4, 5: 0.5 spent, 1 held
    auto half = ask;
    half.held = usdc / 2;
    chain.reserve(half);
    EXPECT_EQ(told(audit_of(chain)), "clean");
    half.held = 1;
    chain.reserve(half);
    EXPECT_EQ(told(audit_of(chain)), "session_max at 7");
}

TEST(Auditor, NothingHoldsMoreThanItCanCost) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    chain.reserve({.held = 2 * usdc, .bound = usdc});
    EXPECT_EQ(told(audit_of(chain)), "held_amount at 2");
}

TEST(Auditor, ExposureStaysWithinTheOverrunLimit) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const Ask ask{.held = usdc, .bound = 3 * usdc, .overrun_limit = 4 * usdc};
    const auto first = chain.reserve(ask);
    chain.reserve(ask);
    EXPECT_EQ(told(audit_of(chain)), "clean");
    chain.settle(first, 2 * usdc);  // 4, 5
    chain.reserve(ask);             // 6
    EXPECT_EQ(told(audit_of(chain)), "clean");
    chain.reserve(ask);
    EXPECT_EQ(told(audit_of(chain)), "overrun_limit at 7");
}

TEST(Auditor, AWalletGivesWhatItHas) {
    ChainBuilder chain;
    chain.fund(usdc);
    chain.reserve();
    chain.reserve({.held = 1});
    EXPECT_EQ(told(audit_of(chain)), "wallet at 3");

    ChainBuilder taken;
    taken.fund(usdc);
    taken.reserve();
    taken.adjust(-1);
    EXPECT_EQ(told(audit_of(taken)), "wallet at 3");

    ChainBuilder returned;
    returned.fund(2 * usdc);
    returned.reserve();
    returned.give_back(usdc);
    EXPECT_EQ(told(audit_of(returned)), "wallet at 3");
}

TEST(Auditor, OverrunsAloneTakeAWalletBelowZero) {
    ChainBuilder chain;
    chain.fund(usdc);
    chain.settle(chain.reserve(), 3 * usdc);
    Auditor auditor{agent_id};
    EXPECT_FALSE(audit_of(chain, auditor));
    EXPECT_EQ(auditor.balances().balance, amount(-2 * usdc));
    chain.reserve({.held = 0});
    EXPECT_EQ(told(audit_of(chain)), "wallet at 5");
}

TEST(Auditor, ADaysCapHolds) {
    ChainBuilder chain;
    chain.fund(99 * usdc);
    const auto first = chain.reserve({.daily_cap = 2 * usdc});
    chain.settle(first, usdc);
    chain.reserve({.daily_cap = 2 * usdc});
    EXPECT_EQ(told(audit_of(chain)), "clean");
    chain.reserve({.held = 1, .daily_cap = 2 * usdc});
    EXPECT_EQ(told(audit_of(chain)), "daily_cap at 5");

    ChainBuilder next_day;
    next_day.fund(99 * usdc);
    next_day.reserve({.daily_cap = usdc});
    next_day.now += std::chrono::hours{12};
    next_day.reserve({.daily_cap = usdc});
    EXPECT_EQ(told(audit_of(next_day)), "clean");
}

TEST(Auditor, ATotalCapHoldsOverDays) {
    ChainBuilder chain;
    chain.fund(99 * usdc);
    chain.reserve({.total_cap = usdc});
    chain.now += std::chrono::hours{12};
    chain.reserve({.held = 1, .total_cap = usdc});
    EXPECT_EQ(told(audit_of(chain)), "total_cap at 3");
}

TEST(Auditor, ACapThatWasLoweredAdmitsNothingMore) {
    ChainBuilder chain;
    chain.fund(99 * usdc);
    chain.reserve({.held = 5 * usdc});
    chain.reserve({.held = 0, .daily_cap = usdc});
    EXPECT_EQ(told(audit_of(chain)), "daily_cap at 3");
}

TEST(Auditor, EachReservationEndsOnce) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const auto id = chain.reserve();
    chain.settle(id, usdc);
    chain.settle(id, usdc);
    EXPECT_EQ(told(audit_of(chain)), "ends_once at 4");

    ChainBuilder unknown;
    unknown.fund(9 * usdc);
    const auto other = unknown.reserve();
    unknown.release(other);
    unknown.forge(3, other, "txn_01hx9999999999999999999999");
    EXPECT_EQ(told(audit_of(unknown)), "ends_once at 3");
}

TEST(Auditor, WhatIsOpenIsNotReservedAgain) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const auto first = chain.reserve();
    const auto second = chain.reserve();
    chain.forge(3, second, first);
    EXPECT_EQ(told(audit_of(chain)), "ends_once at 3");
}

TEST(Auditor, AnEndingMovesWhatItCost) {
    for (const auto& [moved, cost, unknown, overrun] :
         std::vector<std::tuple<std::int64_t, std::int64_t, bool, bool>>{{usdc / 2, usdc, false, false},
                                                                         {usdc, usdc, false, true},
                                                                         {usdc, 2 * usdc, false, false},
                                                                         {usdc / 2, usdc / 2, true, false}}) {
        ChainBuilder chain;
        chain.fund(9 * usdc);
        const auto id = chain.reserve();
        chain.ending(id, "settle", "provider:api.llm.example", moved, "settled", cost, unknown, overrun);
        EXPECT_EQ(told(audit_of(chain)), "cost at 3");
    }
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const auto id = chain.reserve();
    chain.ending(id, "release", "wallet", usdc, "released", 1, false, false);
    EXPECT_EQ(told(audit_of(chain)), "cost at 3");
}

TEST(Auditor, TheRestOfAnEndingFollowsAtOnce) {
    auto chain = honest();
    chain.entries.resize(4);
    EXPECT_EQ(told(audit_of(chain)), "second_line at 4") << "and the chain may not end there";
    chain.reserve();
    chain.forge(5, "26, ", "5, ");
    EXPECT_EQ(told(audit_of(chain)), "second_line at 5");

    auto cheaper = honest();
    cheaper.forge(5, "750000000", "750000001");
    EXPECT_EQ(told(audit_of(cheaper)), "second_line at 5");

    ChainBuilder alone;
    alone.fund(9 * usdc);
    alone.movement("release", "held", "wallet", 1, "\"txn_1\"", "null");
    EXPECT_EQ(told(audit_of(alone)), "second_line at 2");
}

TEST(Auditor, OnlyTheExpiredIsCorrectedAndOnce) {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    const auto settled = chain.reserve();
    chain.settle(settled, usdc);
    chain.correct(settled, usdc, usdc / 2);
    EXPECT_EQ(told(audit_of(chain)), "correction at 4");

    ChainBuilder twice;
    twice.fund(9 * usdc);
    const auto expired = twice.reserve();
    twice.expire(expired);
    twice.correct(expired, usdc, usdc / 2);
    twice.correct(expired, usdc / 2, usdc / 4);
    EXPECT_EQ(told(audit_of(twice)), "correction at 5");

    ChainBuilder wrong;
    wrong.fund(9 * usdc);
    const auto id = wrong.reserve();
    wrong.expire(id);
    wrong.correct(id, usdc + 1, usdc / 2);
    EXPECT_EQ(told(audit_of(wrong)), "correction at 4");
}

TEST(Auditor, SumsThatNoAccountCanHoldAreFound) {
    ChainBuilder chain;
    chain.fund(INT64_MAX);
    chain.fund(1);
    EXPECT_EQ(told(audit_of(chain)), "books at 2");
}

TEST(Auditor, SaysTheSameAgainAfterAFinding) {
    auto chain = honest();
    chain.entries[5].hash[0] ^= 1;
    Auditor auditor{agent_id};
    EXPECT_EQ(told(audit_of(chain, auditor)), "chain at 6");
    EXPECT_EQ(told(auditor.add(chain.entries[6].line, chain.entries[6].hash)), "chain at 6");
    EXPECT_EQ(told(auditor.finish()), "chain at 6");
}

TEST(Auditor, BeginsInTheMiddleFromAnOpening) {
    const auto chain = honest();
    const std::int64_t spent = usdc / 4 + usdc + 2 * usdc;
    // After line 14: one expired, one open.
    Opening opening{.head = {.seq = 14, .hash = chain.entries[13].hash},
                    .balances = {.balance = amount(20 * usdc - spent - usdc),
                                 .reserved = amount(usdc),
                                 .spent = amount(spent + usdc),
                                 .exposed = {}},
                    .days = {},
                    .open = {},
                    .expired = {},
                    .tokens = {}};
    const auto day = parse_day("2026-05-24").value();
    opening.days[day] = {amount(spent + usdc), amount(usdc)};
    const auto transaction = [&](std::size_t seq) {
        return nlohmann::json::parse(chain.entries[seq - 1].line).at(8).get<std::string>();
    };
    opening.open = {{transaction(13), day, "api.llm.example", amount(usdc), amount(usdc), {}}};
    opening.expired = {{transaction(12), day, "api.llm.example", amount(usdc), {}}};
    Auditor auditor{agent_id, {}, opening};
    for (std::size_t i = 14; i < chain.entries.size(); ++i) {
        const auto finding = auditor.add(chain.entries[i].line, chain.entries[i].hash);
        ASSERT_FALSE(finding) << finding->what << " at " << finding->seq;
    }
    Auditor whole{agent_id};
    ASSERT_FALSE(audit_of(chain, whole));
    EXPECT_EQ(auditor.balances(), whole.balances());
    EXPECT_EQ(auditor.days(), whole.days());
    EXPECT_EQ(auditor.head(), whole.head());
}

TEST(Compare, StoredRowsAreWhatTheChainAddsUpTo) {
    Auditor auditor{agent_id};
    ASSERT_FALSE(audit_of(honest(), auditor));
    const StoredRows good{.head = auditor.head(),
                          .balances = auditor.balances(),
                          .days = auditor.days(),
                          .counts = auditor.counts()};
    EXPECT_FALSE(compare(auditor, good));
    const auto check = [&](const auto& change) {
        auto stored = good;
        change(stored);
        const auto finding = compare(auditor, stored);
        ASSERT_TRUE(finding);
        EXPECT_EQ(told(finding), "stored at 25");
    };
    check([](StoredRows& rows) { rows.head.seq = 26; });
    check([](StoredRows& rows) { rows.head.hash[0] ^= 1; });
    check([](StoredRows& rows) { rows.balances.balance = amount(1); });
    check([](StoredRows& rows) { rows.balances.reserved = amount(0); });
    check([](StoredRows& rows) { rows.balances.spent = amount(1); });
    check([](StoredRows& rows) { rows.balances.exposed = amount(1); });
    check([](StoredRows& rows) { rows.days.begin()->second.spent = amount(1); });
    check([](StoredRows& rows) { rows.days.clear(); });
    check([](StoredRows& rows) { rows.days[parse_day("2026-01-01").value()].reserved = amount(1); });
    check([](StoredRows& rows) { ++rows.counts->reservations; });
    check([](StoredRows& rows) { --rows.counts->endings; });
    check([](StoredRows& rows) { ++rows.counts->corrections; });
    check([](StoredRows& rows) { ++rows.counts->transfers; });
}

TEST(Invariants, AreNamedAndStatedOnce) {
    std::map<std::string_view, int> names;
    for (const auto& each : invariants()) {
        EXPECT_EQ(++names[each.name], 1) << each.name;
        EXPECT_TRUE(each.statement.ends_with('.')) << each.name;
        EXPECT_EQ(info(each.invariant).name, each.name);
    }
}

TEST(Invariants, AreDocumentedInTheSameWords) {
    std::ifstream file{NOMIQON_SOURCE_DIR "/docs/audit.md"};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    for (const auto& each : invariants()) {
        const auto row = "| `" + std::string{each.name} + "` | " + std::string{each.statement} + " |\n";
        EXPECT_NE(text.find(row), std::string::npos) << row;
    }
}

}  // namespace
}  // namespace nomiqon::audit
