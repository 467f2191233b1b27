#include "nomiqon/audit/line.h"
#include "chain_builder.h"

namespace nomiqon::audit {
namespace {

const std::string fund_line =
    R"(["fund", 1, "ag_1", "2026-05-24", 1779624000000000, "treasury", "wallet", 5, null, "a"])";

bool is_line(const std::string& text) {
    return parse_line(text).has_value();
}

std::string with(std::string_view from, std::string_view to) {
    auto text = fund_line;
    text.replace(text.find(from), from.size(), to);
    return text;
}

TEST(Line, IsReadMemberByMember) {
    const auto line = parse_line(fund_line);
    ASSERT_TRUE(line) << line.error();
    const auto& m = line->movement;
    EXPECT_EQ(m.kind, Kind::fund);
    EXPECT_EQ(m.seq, 1);
    EXPECT_EQ(m.agent, "ag_1");
    EXPECT_EQ(format_day(m.day), "2026-05-24");
    EXPECT_EQ(format_time(m.at), "2026-05-24T12:00:00.000Z");
    EXPECT_EQ(m.debit, "treasury");
    EXPECT_EQ(m.credit, "wallet");
    EXPECT_EQ(m.amount.nanos(), 5);
    EXPECT_FALSE(m.transaction);
    EXPECT_EQ(m.reference, "a");
    EXPECT_TRUE(std::holds_alternative<Plain>(line->details));
}

TEST(Line, IsTakenInOneSpellingOnly) {
    EXPECT_TRUE(is_line(fund_line));
    for (const auto& [from, to] :
         std::vector<std::pair<std::string, std::string>>{{", 5", ",5"},
                                                          {"[", "[ "},
                                                          {"]", "]]"},
                                                          {"]", ""},
                                                          {"]", ", 1]"},
                                                          {"]", "] "},
                                                          {" 5,", " 5.0,"},
                                                          {" 5,", " 05,"},
                                                          {" 5,", " -0,"},
                                                          {" 5,", " -5,"},
                                                          {" 5,", " +5,"},
                                                          {" 5,", " 5e0,"},
                                                          {" 5,", " \"5\","},
                                                          {" 5,", " null,"},
                                                          {" 5,", " 9223372036854775808,"},
                                                          {"null", "nul"},
                                                          {"null", "true"},
                                                          {"\"a\"", "'a'"},
                                                          {"\"a\"", "\"\\u0061\""},
                                                          {"\"a\"", "\"\\/\""},
                                                          {"\"a\"", "\"\t\""},
                                                          {"\"a\"", "\"\\u000A\""},
                                                          {"\"a\"", "\"\\u0000\""},
                                                          {"\"a\"", "\"\\n"},
                                                          {"\"a\"", "\"\xff\""},
                                                          {"\"a\"", "\"\\u00e9\""},
                                                          {"\"a\"", "\"\\ud800\""},
                                                          {"05-24", "02-30"},
                                                          {"\"fund\"", "\"FUND\""},
                                                          {"\"fund\"", "\"reserve\""},
                                                          {"\"fund\"", "7"}}) {
        EXPECT_FALSE(is_line(with(from, to))) << with(from, to);
    }
    EXPECT_FALSE(is_line(""));
    EXPECT_FALSE(is_line("[]"));
    EXPECT_FALSE(is_line("{}"));
    for (std::size_t length = 0; length < fund_line.size(); ++length)
        EXPECT_FALSE(is_line(fund_line.substr(0, length))) << length;
}

TEST(Line, TextsComeBackAsTheyWere) {
    std::string all;
    for (char c = 1; c > 0; ++c)
        all += c;
    all += "é€😀\xc2\x80";
    const auto line = parse_line(with("\"a\"", nlohmann::json(all).dump()));
    ASSERT_TRUE(line) << line.error();
    EXPECT_EQ(line->movement.reference, all);
}

TEST(Line, HasTheMembersOfItsKind) {
    ChainBuilder chain;
    const auto id =
        chain.reserve({.bound = 2 * usdc, .overrun_limit = 7, .total_cap = 9, .ref = "r", .lives = 60});
    const auto line = parse_line(chain.entries.back().line);
    ASSERT_TRUE(line) << line.error();
    const auto* const r = std::get_if<Reservation>(&line->details);
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(line->movement.transaction, id);
    EXPECT_EQ(r->policy_version, 3);
    EXPECT_EQ(r->bound.nanos(), 2 * usdc);
    EXPECT_EQ(r->overrun_limit.nanos(), 7);
    EXPECT_EQ(r->daily_cap->nanos(), 100 * usdc);
    EXPECT_EQ(r->total_cap->nanos(), 9);
    EXPECT_FALSE(r->token_max);
    EXPECT_EQ(r->port, 443);
    EXPECT_EQ(r->ref, "r");
    EXPECT_FALSE(r->token_session);
    EXPECT_TRUE(r->token.starts_with("ey"));

    chain.ending(id, "settle", "provider:h", 1, "settled", 2, true, true, "why");
    const auto ending = parse_line(chain.entries.back().line);
    ASSERT_TRUE(ending) << ending.error();
    const auto* const e = std::get_if<EndingLine>(&ending->details);
    ASSERT_NE(e, nullptr);
    EXPECT_TRUE(e->settled && e->unknown && e->overrun);
    EXPECT_EQ(e->cost.nanos(), 2);
    EXPECT_EQ(e->reason, "why");
    chain.correct(id, 5, 3);
    const auto correction = parse_line(chain.entries.back().line);
    ASSERT_TRUE(correction && std::holds_alternative<Correction>(correction->details));
    EXPECT_EQ(std::get<Correction>(correction->details).cost.nanos(), 3);
}

TEST(Chain, StartsFromZerosAndTakesTheTextAsItIs) {
    Hasher hasher;
    const auto first = hasher.next(genesis, fund_line);
    EXPECT_EQ(first, ChainBuilder::link(genesis, fund_line));
    EXPECT_EQ(hasher.next(first, ""), ChainBuilder::link(first, ""));
    EXPECT_EQ(hash_from_hex(to_hex(first)), first);
    EXPECT_FALSE(hash_from_hex(to_hex(first).substr(2)));
    EXPECT_FALSE(hash_from_hex(std::string(64, 'g')));
    EXPECT_FALSE(hash_from_hex(std::string(64, 'A')));
}

}  // namespace
}  // namespace nomiqon::audit
