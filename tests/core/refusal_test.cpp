#include "nomiqon/core/refusal.h"

#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>

namespace nomiqon {
namespace {

TEST(Refusal, StatusesAreThoseOfTheContract) {
    const std::map<int, std::set<std::string_view>> contract{
        {400, {"bad_request"}},
        {402,
         {"policy_cap_exceeded", "insufficient_balance", "spend_token_exhausted", "request_limit_exceeded"}},
        {403,
         {"policy_domain_blocked", "policy_method_blocked", "policy_model_blocked", "policy_inactive",
          "agent_frozen", "agent_paused", "identity_revoked", "approval_denied", "approval_timeout",
          "address_blocked", "sni_mismatch"}},
        {407,
         {"spend_token_missing", "spend_token_invalid", "spend_token_expired", "spend_token_mismatch",
          "spend_token_replayed"}},
        {410, {"agent_terminated"}},
        {413, {"request_too_large"}},
        {422, {"price_unknown"}},
        {429, {"rate_limit_exceeded", "policy_cap_reserved", "balance_reserved", "spend_token_reserved"}},
        {431, {"request_too_large"}},
        {502, {"upstream_unreachable"}},
        {503, {"ledger_unavailable", "overloaded"}},
        {504, {"upstream_timeout"}}};
    std::map<int, std::set<std::string_view>> table;
    for (int i = 0; i < refusal_code_count; ++i) {
        const RefusalInfo& entry = info(static_cast<RefusalCode>(i));
        table[entry.status].insert(entry.name);
    }
    EXPECT_EQ(table, contract);
}

TEST(Refusal, NamesAreUniqueButForTheTwoKindsOfTooLarge) {
    std::multiset<std::string_view> names;
    for (int i = 0; i < refusal_code_count; ++i)
        names.insert(info(static_cast<RefusalCode>(i)).name);
    for (const auto name : names)
        EXPECT_EQ(names.count(name), name == "request_too_large" ? 2 : 1) << name;
}

TEST(Refusal, IsFoundByItsName) {
    for (int i = 0; i < refusal_code_count; ++i) {
        const auto code = static_cast<RefusalCode>(i);
        EXPECT_EQ(info(code).code, code);
        if (code != RefusalCode::header_too_large) {
            EXPECT_EQ(refusal_from_name(info(code).name), code);
        }
    }
    EXPECT_EQ(refusal_from_name("request_too_large"), RefusalCode::request_too_large);
    EXPECT_EQ(refusal_from_name(""), std::nullopt);
    EXPECT_EQ(refusal_from_name("Bad_Request"), std::nullopt);
}

TEST(Refusal, RetryHelpsOnlyWhereWaitingDoes) {
    for (int i = 0; i < refusal_code_count; ++i) {
        const RefusalInfo& entry = info(static_cast<RefusalCode>(i));
        EXPECT_EQ(entry.retry_helps, entry.status == 429 || entry.status >= 500) << entry.name;
    }
}

TEST(Refusal, MessageIsOneLineThatFitsAHeader) {
    for (int i = 0; i < refusal_code_count; ++i) {
        const RefusalInfo& entry = info(static_cast<RefusalCode>(i));
        EXPECT_GT(entry.message.size(), 20U) << entry.name;
        EXPECT_LT(entry.message.size(), 160U) << entry.name;
        EXPECT_TRUE(entry.message.ends_with('.')) << entry.name;
        for (const char c : entry.message)
            EXPECT_TRUE(c >= ' ' && c <= '~') << entry.name;
    }
}

}  // namespace
}  // namespace nomiqon
