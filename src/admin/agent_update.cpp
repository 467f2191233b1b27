// PATCH /v1/agents/{id}: name, metadata, and the policy. A partial one is judged here, and merged by the
// database under the agent's lock into whatever is current by then.

#include <algorithm>
#include <array>

#include "handlers.h"
#include "input.h"
#include "policy_input.h"

namespace nomiqon::admin {
namespace {

constexpr int most_tries = 50;
/// Members that are good or bad together; every other one is judged by itself.
constexpr std::array<std::string_view, 2> judged_together{"activeFrom", "activeUntil"};

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

/// `null` takes a member away, and of this one that would undo a freeze unsaid.
Result<void> check_freeze(const json& body) {
    if (!is_given(body, "policy") || !body["policy"].is_object()) return {};
    const auto frozen = body["policy"].find("frozen");
    if (frozen == body["policy"].end() || !frozen->is_null()) return {};
    return std::unexpected(validation_error("must be true or false", "/policy/frozen"));
}

/// Whether the partial policy is the kill switch alone: good whatever the rest of the policy says, even one
/// that the configuration would refuse by now.
bool only_sets_frozen(const json& partial) {
    return partial.is_object() && partial.size() == 1 && partial.contains("frozen") &&
           partial["frozen"].is_boolean();
}

/// The partial policy, and by which values of other members it was found good.
Awaitable<Result<void>> add_partial_policy(const Context& context, const ApiRequest& request,
                                           json& arguments) {
    const json& partial = request.body["policy"];
    if (!only_sets_frozen(partial)) {
        const auto current = co_await read(context, "get_policy", {{"agent", request.path_ids.at(0)}});
        if (!current) co_return std::unexpected(current.error());
        const json& document = current->at("document");
        const auto merged = merge_policy(context, document, partial);
        if (!merged) co_return std::unexpected(merged.error());
        const auto is_in = [&](std::string_view name) { return partial.contains(name); };
        if (std::ranges::any_of(judged_together, is_in)) {
            for (const auto name : judged_together)
                arguments["seen"][std::string{name}] = document.value(std::string{name}, json(nullptr));
        }
    }
    arguments["partial"] = partial;
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
    if (const auto good = check_freeze(request.body); !good) co_return std::unexpected(good.error());
    (*arguments)["agent"] = request.path_ids.at(0);
    if (request.if_match) (*arguments)["version"] = *request.if_match;

    const bool is_partial = is_given(request.body, "policy");
    if (is_given(request.body, "policyId")) {
        const auto document = co_await read_template(context, request.body["policyId"]);
        if (!document) co_return std::unexpected(document.error());
        (*arguments)["document"] = *document;
    }
    for (int tries = 1;; ++tries) {
        if (is_partial) {
            const auto added = co_await add_partial_policy(context, request, *arguments);
            if (!added) co_return std::unexpected(added.error());
        }
        auto answer = co_await write(context, request, "update_agent", *arguments);
        const bool lost_a_race =
            !answer && is_partial && !request.if_match && answer.error().code == "precondition_failed";
        if (!lost_a_race) co_return answer;
        if (tries == most_tries) {
            co_return std::unexpected(
                conflict("others keep changing this policy at the same time; try again"));
        }
    }
}

}  // namespace nomiqon::admin
