#pragma once

#include "api.h"

// The calls of the API, one function each; routes.cpp says which path leads where.
namespace nomiqon::admin {

// agents.cpp
Awaitable<Outcome> create_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_agents(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> pause_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> resume_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> terminate_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_agent_policies(const Context& context, const ApiRequest& request);
// agent_update.cpp
Awaitable<Outcome> update_agent(const Context& context, const ApiRequest& request);
// agent_money.cpp
Awaitable<Outcome> add_caid(const Context& context, const ApiRequest& request);
Awaitable<Outcome> revoke_caid(const Context& context, const ApiRequest& request);
Awaitable<Outcome> fund_agent(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_spend(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_own_spend(const Context& context, const ApiRequest& request);
// policies.cpp
Awaitable<Outcome> create_policy(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_policies(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_policy(const Context& context, const ApiRequest& request);
Awaitable<Outcome> delete_policy(const Context& context, const ApiRequest& request);
// transactions.cpp
Awaitable<Outcome> list_transactions(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_transaction(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_transaction_stats(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_transfers(const Context& context, const ApiRequest& request);
// ledger_audit.cpp
Awaitable<Outcome> list_ledger_heads(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_ledger_lines(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_price_book(const Context& context, const ApiRequest& request);
Awaitable<Outcome> get_ledger_opening(const Context& context, const ApiRequest& request);
Awaitable<Outcome> adjust_agent(const Context& context, const ApiRequest& request);
// reports.cpp
Awaitable<Outcome> report_spend(const Context& context, const ApiRequest& request);
// api_keys.cpp
Awaitable<Outcome> create_api_key(const Context& context, const ApiRequest& request);
Awaitable<Outcome> list_api_keys(const Context& context, const ApiRequest& request);
Awaitable<Outcome> revoke_api_key(const Context& context, const ApiRequest& request);

}  // namespace nomiqon::admin
