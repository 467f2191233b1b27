#include "policy_input.h"

#include "nomiqon/core/ids.h"
#include "nomiqon/policy/policy.h"

namespace nomiqon::admin {
namespace {

Result<json> checked(const Context& context, json document, std::string_view pointer) {
    const policy::ParseOptions options{.require_allowlist = context.config.policy.require_allowlist};
    const auto parsed = policy::Policy::parse(document, options);
    if (!parsed) {
        return std::unexpected(
            validation_error(parsed.error().message, std::string{pointer} + parsed.error().pointer));
    }
    return document;
}

}  // namespace

Result<json> read_policy(const Context& context, const json& policy, std::string_view pointer) {
    if (!policy.is_object()) {
        return std::unexpected(validation_error("must be an object", std::string{pointer}));
    }
    return checked(context, policy::merge(json::object(), policy), pointer);
}

Result<json> merge_policy(const Context& context, const json& current, const json& partial) {
    if (!partial.is_object()) return std::unexpected(validation_error("must be an object", "/policy"));
    return checked(context, policy::merge(current, partial), "/policy");
}

Awaitable<Result<json>> read_template(const Context& context, const json& policy_id) {
    const std::string param = "/policyId";
    if (!policy_id.is_string() || !PolicyId::parse(policy_id.get_ref<const std::string&>())) {
        co_return std::unexpected(validation_error("must be the id of a policy: \"pol_…\"", param));
    }
    auto found = co_await read(context, "get_template", {{"policy_id", policy_id}});
    if (!found) {
        if (found.error().code == "not_found")
            co_return std::unexpected(validation_error("there is no such policy", param));
        co_return std::unexpected(found.error());
    }
    // It was good when it was made; the configuration may have become stricter since.
    auto document = checked(context, std::move(found->at("document")), "");
    if (!document) document.error().param = param;
    co_return document;
}

Awaitable<Result<json>> require_policy(const Context& context, const json& body) {
    const bool has_policy = body.contains("policy") && !body["policy"].is_null();
    const bool has_id = body.contains("policyId") && !body["policyId"].is_null();
    if (has_policy && has_id) {
        co_return std::unexpected(validation_error("give `policy` or `policyId`, not both", "/policyId"));
    }
    if (has_id) {
        auto document = co_await read_template(context, body["policyId"]);
        co_return document;
    }
    if (!has_policy) {
        co_return std::unexpected(validation_error(
            "an agent needs a `policy` or a `policyId`; {} lets it ask for any host, within its wallet",
            "/policy"));
    }
    co_return read_policy(context, body["policy"], "/policy");
}

}  // namespace nomiqon::admin
