// Named policies, which agents are given by `policyId`. A template is never changed; what it gave stays as it
// was.

#include "handlers.h"
#include "input.h"
#include "nomiqon/core/ids.h"
#include "pagination.h"
#include "policy_input.h"

namespace nomiqon::admin {

Awaitable<Outcome> create_policy(const Context& context, const ApiRequest& request) {
    const auto name = require_text(request.body, "name", {});
    if (!name) co_return std::unexpected(name.error());
    json policy = request.body;
    policy.erase("name");
    const auto document = read_policy(context, policy, "");
    if (!document) co_return std::unexpected(document.error());
    auto answer = co_await write(
        context, request, "create_template",
        {{"policy_id", PolicyId::generate().str()}, {"name", *name}, {"document", *document}}, 201);
    co_return answer;
}

Awaitable<Outcome> list_policies(const Context& context, const ApiRequest& request) {
    return list(context, request, "list_templates", json::object(), "policies");
}

Awaitable<Outcome> get_policy(const Context& context, const ApiRequest& request) {
    auto found = co_await read(context, "get_template", {{"policy_id", request.path_ids.at(0)}});
    if (!found) co_return std::unexpected(found.error());
    co_return Answer{.data = std::move(found->at("template"))};
}

Awaitable<Outcome> delete_policy(const Context& context, const ApiRequest& request) {
    return write(context, request, "delete_template", {{"policy_id", request.path_ids.at(0)}});
}

}  // namespace nomiqon::admin
