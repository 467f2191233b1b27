#include "flat_price.h"

#include <gtest/gtest.h>

#include <string>

namespace nomiqon::proxy {
namespace {

FlatCost cost(int status, const std::string& type = {}, std::string_view body = {}) {
    FlatPrice price(status, type.empty() ? HeaderFields{} : HeaderFields{{"Content-Type", type}});
    for (const char& byte : body)
        price.see({&byte, 1});
    return price.cost();
}

TEST(FlatPrice, SuccessIsOwedAndErrorsOfTheRequestAreNot) {
    for (const int status : {200, 201, 204, 206})
        EXPECT_EQ(cost(status), FlatCost::full) << status;
    for (const int status : {301, 304, 400, 401, 404, 429})
        EXPECT_EQ(cost(status), FlatCost::nothing) << status;
    for (const int status : {408, 499, 500, 502, 599})
        EXPECT_EQ(cost(status), FlatCost::unknown) << status;
}

TEST(FlatPrice, ServerErrorCostsNothingWhereItIsTheProvidersOwn) {
    const std::string error = R"( {"type":"error","error":{"message":"overloaded"}})";
    EXPECT_EQ(cost(529, "application/json", error), FlatCost::nothing);
    EXPECT_EQ(cost(500, "Application/JSON; charset=utf-8", error), FlatCost::nothing);
    EXPECT_EQ(cost(500, "application/problem+json", error), FlatCost::nothing);
    EXPECT_EQ(cost(500, "text/html", error), FlatCost::unknown);
    EXPECT_EQ(cost(500, "application/json", R"({"ok":true})"), FlatCost::unknown);
    EXPECT_EQ(cost(500, "application/json", R"("error")"), FlatCost::unknown);
    EXPECT_EQ(cost(500, "application/json", ""), FlatCost::unknown);
    EXPECT_EQ(cost(500, "application/json", error + std::string(65'536, ' ')), FlatCost::unknown);
}

}  // namespace
}  // namespace nomiqon::proxy
