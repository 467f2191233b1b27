#include "agent_lookup.h"
#include "commands.h"
#include "inputs.h"

namespace nomiqon::cli {

Outcome<void> adjust_ledger(Context& context, const AdjustLedger& options) {
    const bool taken = options.amount.starts_with('-');
    const auto checked = amount(taken ? options.amount.substr(1) : options.amount, "--amount");
    if (!checked) return std::unexpected(checked.error());
    if (options.reason.empty()) return usage_error("an adjustment needs a --reason");
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());
    const auto agent = (*api)->write({.method = "POST",
                                      .path = agent_path(*id) + "/adjust",
                                      .body = Json{{"amount", options.amount}, {"reason", options.reason}}});
    if (!agent) return std::unexpected(agent.error());
    if (context.out.json()) {
        context.out.data(*agent);
    } else {
        context.out.line((taken ? "took " + *checked + " USDC from " : "gave " + *checked + " USDC to ") +
                         text_at(*agent, {"name"}) + "; its balance is " +
                         text_at(*agent, {"wallet", "balance"}));
    }
    return {};
}

}  // namespace nomiqon::cli
