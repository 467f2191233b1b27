// PATCH /v1/agents/{id}: name, metadata, and the policy, whose changes are merged here and stored as a new
// version.

#include "handlers.h"
#include "input.h"
#include "policy_input.h"

namespace nomiqon::admin {
namespace {

constexpr int most_tries = 5;

bool is_given(const json& body, std::string_view name) {
    const auto found = body.find(name);
    return found != body.end() && !found->is_null();
}

/// What an operator may send: `{"policy": {"frozen": …}}`, with a reason.
bool only_freezes(const json& body) {
    for (const auto& item : body.items()) {
        if (item.key() != "policy" && item.key() != "reason") return false;
    }
    return is_given(body, "policy") && body["policy"].is_object() && body["policy"].size() == 1 &&
           body["policy"].contains("frozen");
}

/// The members that need no look at the current policy.
Result<json> read_plain_members(const json& body) {
    json arguments = json::object();
    const auto name = read_text(body, "name", {});
    if (!name) return std::unexpected(name.error());
    if (*name) arguments["name"] = **name;
    const auto metadata = read_metadata(body, Nulls::keep);
    if (!metadata) return std::unexpected(metadata.error());
    if (!metadata->empty()) arguments["metadata"] = *metadata;
    const auto reason = read_text(body, "reason", {.max = 500});
    if (!reason) return std::unexpected(reason.error());
    if (*reason) arguments["reason"] = **reason;
    if (is_given(body, "policy") && is_given(body, "policyId")) {
        return std::unexpected(validation_error("give `policy` or `policyId`, not both", "/policyId"));
    }
    return arguments;
}

/// Merges into the version that is current now, and says which that was.
Awaitable<Result<void>> add_merged_policy(const Context& context, const ApiRequest& request,
                                          json& arguments) {
    auto current = co_await read(context, "get_policy", {{"agent", request.path_ids.at(0)}});
    if (!current) co_return std::unexpected(current.error());
    const auto merged = merge_policy(context, current->at("document"), request.body["policy"]);
    if (!merged) co_return std::unexpected(merged.error());
    arguments["document"] = *merged;
    // With If-Match the caller's version is the one to hold; it and the merged one are the same or both
    // stale.
    arguments["version"] = request.if_match ? json(*request.if_match) : current->at("version");
    co_return Result<void>{};
}

}  // namespace

Awaitable<Outcome> update_agent(const Context& context, const ApiRequest& request) {
    if (!request.principal.may(Scope::full) && !only_freezes(request.body)) {
        co_return std::unexpected(
            forbidden("a key with scope `operator` may change nothing but {\"policy\": {\"frozen\": …}}"));
    }
    auto arguments = read_plain_members(request.body);
    if (!arguments) co_return std::unexpected(arguments.error());
    (*arguments)["agent"] = request.path_ids.at(0);
    if (request.if_match) (*arguments)["version"] = *request.if_match;

    const bool merges = is_given(request.body, "policy");
    if (is_given(request.body, "policyId")) {
        const auto document = co_await read_template(context, request.body["policyId"]);
        if (!document) co_return std::unexpected(document.error());
        (*arguments)["document"] = *document;
    }
    for (int tries = 1;; ++tries) {
        if (merges) {
            const auto merged = co_await add_merged_policy(context, request, *arguments);
            if (!merged) co_return std::unexpected(merged.error());
        }
        auto answer = co_await write(context, request, "update_agent", *arguments);
        const bool lost_a_race =
            !answer && merges && !request.if_match && answer.error().code == "precondition_failed";
        if (!lost_a_race) co_return answer;
        if (tries == most_tries) {
            co_return std::unexpected(
                conflict("others keep changing this policy at the same time; try again"));
        }
    }
}

}  // namespace nomiqon::admin
