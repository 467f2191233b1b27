#include "nomiqon/metering/meter.h"
#include "price_world.h"

namespace nomiqon::metering::testing {
namespace {

std::shared_ptr<const PriceBook> book() {
    static const auto made = book_with(
        R"("input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_token_flex": 5e-07,
                     "output_cost_per_token_flex": 1e-06, "provider_specific_entry": {"us": 1.1, "fast": 2},
                     "search_context_cost_per_query": {"search_context_size_medium": 0.01})");
    return made;
}
PricedPass pass(Usage usage, Terms terms = {}) {
    return {.price = book()->entry("m"), .terms = std::move(terms), .usage = std::move(usage)};
}
std::string again(std::string_view basis, const PriceBook& with) {
    const auto cost = recompute(basis, with);
    return cost ? cost->to_string() : "nothing";
}

TEST(Rule19Basis, IsOneLineThatSaysWhatWasCounted) {
    const std::vector passes{pass({.input = 10, .output = 5, .items = {{"web_search", 2}, {"queries", 0}}},
                                  {.service_tier = "flex", .fast = true, .region = "us"}),
                             pass({.input = 7}, {.service_tier = "standard", .region = "global"})};
    EXPECT_EQ(
        write_basis(*book(), passes),
        R"({"book":")" + book()->version() +
            R"(","passes":[{"entry":"m","terms":{"tier":"flex","fast":true,"region":"us"},)"
            R"("usage":{"input":10,"output":5,"items":{"web_search":2}}},{"entry":"m","usage":{"input":7}}]})");
}

TEST(Rule19Basis, LeadsToTheChargeAgain) {
    const std::vector passes{
        pass({.input = 1000, .output = 500, .items = {{"web_search", 2}}}, {.region = "us"}),
        pass({.input = 1000, .output = 1}, {.service_tier = "flex", .fast = true})};
    const std::vector<RouteFee> fees{{.item = "mcp", .count = 3, .fee = Usdc::from_nanos(2'000'000)}};
    const auto sum = total(passes, fees);
    ASSERT_TRUE(sum);
    EXPECT_EQ(sum->to_string(), "0.029202");  // 0.0022 + 0.02 + 0.001002 + 0.006
    EXPECT_EQ(again(write_basis(*book(), passes, fees), *book()), "0.029202");
    EXPECT_EQ(again(write_basis(*book(), passes, fees, Usdc::from_nanos(1)), *book()), "0.029202");
    EXPECT_EQ(again(write_basis(*book(), passes, fees, Usdc::from_nanos(5'000'000'000)), *book()),
              "5.000000");
    EXPECT_EQ(again(write_basis(*book(), {}, {}, Usdc::from_nanos(7'000)), *book()), "0.000007");
}

TEST(Rule19Basis, LeavesOutWhatTheBookCannotPrice) {
    const std::vector passes{pass({.input = 1000}), pass({.output_audio = 5}),
                             pass({.input = 1}, {.service_tier = "x"})};
    EXPECT_EQ(again(write_basis(*book(), passes, {}, Usdc::from_nanos(1)), *book()), "0.001000");
}

TEST(Rule19Basis, WritesNoTextThatOnlyTheAnswerKnows) {
    const auto plain = book_with(R"("input_cost_per_token": 1e-06)");
    const std::vector<PricedPass> passes{
        {.price = plain->entry("m"), .terms = {.region = std::string(100'000, 'x')}, .usage = {.input = 1}}};
    EXPECT_EQ(write_basis(*plain, passes),
              R"({"book":")" + plain->version() + R"(","passes":[{"entry":"m","usage":{"input":1}}]})");
}

TEST(Rule19Basis, OfAPriceThatNoBookHasSaysIt) {
    EXPECT_EQ(flat_basis(Usdc::from_nanos(8'000'000)), R"({"flat":"0.008000"})");
    EXPECT_EQ(stated_basis(Usdc::from_nanos(1)), R"({"stated":"0.000000001"})");
    EXPECT_EQ(again(flat_basis(Usdc::from_nanos(8'000'000)), *book()), "0.008000");
    EXPECT_EQ(again(stated_basis(Usdc::from_nanos(1)), *book()), "0.000000001");
}

TEST(Rule19Recompute, SaysNothingOfWhatItCannotRead) {
    const std::string version = book()->version();
    const auto with_book = [&](const std::string& rest) {
        return R"({"book":")" + version + R"(")" + rest + "}";
    };
    for (const auto& basis : std::vector<std::string>{
             "",
             "{}",
             "[]",
             "null",
             R"({"flat":8})",
             R"({"flat":"-1"})",
             R"({"flat":"1","book":"x"})",
             R"({"book":"pb_0000000000000000"})",
             R"({"passes":[]})",
             with_book(R"(,"odd":1)"),
             with_book(R"(,"passes":{})"),
             with_book(R"(,"passes":[{"entry":"n","usage":{}}])"),
             with_book(R"(,"passes":[{"entry":"m"}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{"input":-1}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{"input":1.5}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{"input":99999999999999999999}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{"odd":1}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{"items":[1]}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{},"terms":{"odd":1}}])"),
             with_book(R"(,"passes":[{"entry":"m","usage":{},"terms":{"tier":"turbo"}}])"),
             with_book(R"(,"fees":[{"item":"a","count":-1,"fee":"1"}])"),
             with_book(R"(,"fees":[{"item":"a","count":9223372036854775807,"fee":"1"}])"),
             with_book(R"(,"least":1)"),
         })
        EXPECT_EQ(again(basis, *book()), "nothing") << basis;
    EXPECT_EQ(again(with_book(""), *book()), "0.000000");
}

TEST(Rule19Recompute, RefusesAnotherBook) {
    const auto other = book_with(R"("input_cost_per_token": 2e-06)");
    const std::vector passes{pass({.input = 10})};
    EXPECT_EQ(again(write_basis(*book(), passes), *other), "nothing");
}

}  // namespace
}  // namespace nomiqon::metering::testing
