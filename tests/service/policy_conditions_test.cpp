// Methods, paths and models of a policy's entries, judged before the body is read and once it was.

#include "authorizer_world.h"

namespace nomiqon::service {
namespace {

class PolicyConditionsTest : public SpendAuthorizerTest {
  protected:
    PolicyConditionsTest() {
        know(agent_, 1, R"({"allowlist": [{"host": "api.example.com", "methods": ["POST"],
                                           "paths": ["/v1/chat"], "models": ["small*"]}]})");
    }

    SpendRequest inner(std::string method, std::string path) const {
        auto inside = request();
        inside.way = Way::plain;
        inside.method = std::move(method);
        inside.path = std::move(path);
        return inside;
    }
    std::expected<Admission, Refusal> admit(SpendRequest request) {
        return test::run(authorizer_.admit(std::move(request)));
    }
    /// The code that the whole way of a request that is admitted ends with.
    std::string code_of(CallPrice price) {
        auto admission = admit(inner("POST", "/v1/chat"));
        if (!admission) return "not admitted";
        return code(test::run(authorizer_.reserve(std::move(*admission), std::move(price))));
    }
};

TEST_F(PolicyConditionsTest, MethodAndPathAreRefusedBeforeTheBodyIsRead) {
    const auto method = admit(inner("GET", "/v1/chat"));
    ASSERT_FALSE(method);
    EXPECT_EQ(method.error().code, RefusalCode::policy_method_blocked);
    const auto path = admit(inner("POST", "/v1/chat/../admin"));
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, RefusalCode::policy_domain_blocked);
    EXPECT_TRUE(admit(inner("POST", "/v1/chat")));
}

TEST_F(PolicyConditionsTest, ModelIsRefusedOnceTheBodyNamesIt) {
    EXPECT_EQ(code_of({.bound = Usdc::from_nanos(1), .model = "small-2", .metered = true}), "ok");
    EXPECT_EQ(code_of({.bound = Usdc::from_nanos(1), .model = "large", .metered = true}),
              "policy_model_blocked");
}

TEST_F(PolicyConditionsTest, EachModelThatMayServeTheRequestMustBePermitted) {
    CallPrice price{
        .bound = Usdc::from_nanos(1), .model = "small-2", .other_models = {"small-3"}, .metered = true};
    EXPECT_EQ(code_of(price), "ok");
    price.other_models.push_back("large");
    EXPECT_EQ(code_of(price), "policy_model_blocked");
}

TEST_F(PolicyConditionsTest, SpendThatNamesNoModelIsRefusedButFreeCallsAreNot) {
    EXPECT_EQ(code_of({.bound = Usdc::from_nanos(1), .metered = true}), "policy_model_blocked");
    EXPECT_EQ(code_of({.bound = Usdc{}}), "policy_model_blocked") << "a flat price says nothing of models";
    EXPECT_EQ(code_of({.bound = Usdc{}, .uses_no_model = true}), "ok");
}

TEST_F(PolicyConditionsTest, TunnelIsRefused) {
    EXPECT_EQ(code(authorize(request())), "policy_method_blocked");
}

}  // namespace
}  // namespace nomiqon::service
