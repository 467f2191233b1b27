#include <sstream>

#include "chain_builder.h"
#include "nomiqon/audit/evidence.h"

namespace nomiqon::audit {
namespace {

using nlohmann::json;

json no_opening() {
    return {{"seq", 0},
            {"hash", std::string(64, '0')},
            {"balance", 0},
            {"reserved", 0},
            {"spent", 0},
            {"exposed", 0},
            {"days", json::array()},
            {"open", json::array()},
            {"expired", json::array()},
            {"tokens", json::array()}};
}

std::string file_of(const ChainBuilder& chain, const std::vector<std::string>& caids,
                    const json& opening = no_opening(), std::size_t from = 0) {
    std::string text = json{{"format", "nomiqon-evidence"}, {"version", 1},   {"agent", agent_id},
                            {"day", "2026-05-24"},          {"caids", caids}, {"opening", opening}}
                           .dump() +
                       '\n';
    for (std::size_t i = from; i < chain.entries.size(); ++i)
        text += json{{"line", chain.entries[i].line}, {"hash", to_hex(chain.entries[i].hash)}}.dump() + '\n';
    return text +
           json{{"end", {{"seq", chain.entries.size()}, {"hash", to_hex(chain.entries.back().hash)}}}}
               .dump() +
           '\n';
}

std::string told(const std::string& text, Auditor::Options options = {}) {
    std::istringstream stream{text};
    const auto evidence = check_evidence(stream, std::move(options));
    if (evidence) return "good";
    const auto& problem = evidence.error();
    return (problem.finding ? std::string{info(problem.finding->invariant).name} : problem.message) +
           " in line " + std::to_string(problem.file_line);
}

ChainBuilder chain() {
    ChainBuilder chain;
    chain.fund(9 * usdc);
    chain.settle(chain.reserve(), usdc / 2);
    return chain;
}

TEST(Evidence, IsGoodAsItIsExported) {
    const auto good = chain();
    const auto caid = good.key.caid().str();
    std::istringstream stream{file_of(good, {caid})};
    const auto evidence = check_evidence(stream);
    ASSERT_TRUE(evidence) << evidence.error().message;
    EXPECT_EQ(evidence->agent, agent_id);
    EXPECT_EQ(evidence->lines, 4);
    EXPECT_EQ(evidence->end, (Head{4, good.entries.back().hash}));
    EXPECT_EQ(told(file_of(good, {}), {.caids = std::vector{caid}}), "good");
}

TEST(Evidence, NamesKeysThatTheReaderKnows) {
    const auto good = chain();
    EXPECT_EQ(told(file_of(good, {})), "identity in line 3");
    EXPECT_EQ(told(file_of(good, {good.key.caid().str()}),
                   {.caids = std::vector{token::SigningKey::generate().caid().str()}}),
              "identity in line 3");
}

TEST(Evidence, BeginsFromWhatTheDaysBeforeAddUpTo) {
    const auto good = chain();
    auto opening = no_opening();
    opening["seq"] = 1;
    opening["hash"] = to_hex(good.entries[0].hash);
    opening["balance"] = 9 * usdc;
    EXPECT_EQ(told(file_of(good, {good.key.caid().str()}, opening, 1)), "good");
    opening["balance"] = usdc / 2;
    EXPECT_EQ(told(file_of(good, {good.key.caid().str()}, opening, 1)), "wallet in line 2");
    for (const std::string member : {"seq", "hash", "balance", "days", "open", "expired", "tokens"}) {
        auto bad = no_opening();
        bad.erase(member);
        EXPECT_EQ(told(file_of(good, {}, bad)), "its opening can't be read: its member " + member +
                                                    " is missing or of another form in line 1");
        bad[member] = 1.5;
        EXPECT_NE(told(file_of(good, {}, bad)), "good") << member;
    }
    EXPECT_FALSE(parse_opening(json{}));
    EXPECT_FALSE(parse_opening(json::array()));
}

TEST(Evidence, ReadsTheStateOfAnOpening) {
    auto document = no_opening();
    const json token{{"caid", "caid_1"}, {"tokenExp", 7}, {"tokenId", "t"}};
    document["days"] = {{{"day", "2026-05-23"}, {"spent", 1}, {"reserved", 2}}};
    document["open"] = {
        {{"transaction", "x"}, {"day", "2026-05-23"}, {"host", "h"}, {"held", 2}, {"bound", 3}}};
    document["open"][0].update(token);
    document["expired"] = {{{"transaction", "y"}, {"day", "2026-05-22"}, {"host", "i"}, {"booked", 4}}};
    document["expired"][0].update(token);
    document["tokens"] = {{{"session", true}, {"spent", 5}, {"reserved", 6}}};
    document["tokens"][0].update(token);
    const auto opening = parse_opening(document);
    ASSERT_TRUE(opening) << opening.error();
    EXPECT_EQ(opening->days.at(parse_day("2026-05-23").value()).reserved.nanos(), 2);
    EXPECT_EQ(opening->open.at(0).bound.nanos(), 3);
    EXPECT_EQ(opening->open.at(0).token.exp, 7);
    EXPECT_EQ(opening->expired.at(0).host, "i");
    EXPECT_TRUE(opening->tokens.at(0).session);
    EXPECT_EQ(opening->tokens.at(0).reserved.nanos(), 6);
    document["tokens"][0]["session"] = "true";
    EXPECT_FALSE(parse_opening(document));
}

TEST(Evidence, ThatWasCutOrChangedIsNone) {
    const auto good = chain();
    const auto text = file_of(good, {good.key.caid().str()});
    EXPECT_EQ(told(""), "the file ends before its last line in line 1");
    EXPECT_EQ(told(text.substr(0, text.rfind("{\"end\""))), "the file ends before its last line in line 6");
    EXPECT_EQ(told(text + "\n"), "something stands behind its end in line 7");
    EXPECT_EQ(told(text.substr(0, text.size() / 2)).substr(0, 15), "this is no JSON");
    auto changed = text;
    changed.replace(changed.rfind("\"seq\":4"), 7, "\"seq\":5");
    EXPECT_EQ(told(changed), "its end is not its last line's number and hash in line 6");
    changed = text;
    changed.replace(changed.find("500000000"), 9, "400000000");
    EXPECT_EQ(told(changed), "chain in line 4");
    changed = text;
    changed.replace(changed.find("\"version\":1"), 11, "\"version\":2");
    EXPECT_EQ(told(changed), "this evidence file is of another version than 1 in line 1");
    EXPECT_EQ(told("[]\n"), "this is no JSON object in line 1");
    EXPECT_EQ(told("{}\n"), "this is no evidence file in line 1");
}

}  // namespace
}  // namespace nomiqon::audit
