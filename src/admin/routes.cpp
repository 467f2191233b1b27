// Every call of the API. openapi.json says the same to others, which a test holds them to.

#include <array>

#include "handlers.h"

namespace nomiqon::admin {
namespace {

constexpr std::string_view page = "limit after";
constexpr std::string_view transaction_filters = "agentId status recipient ref from to";

constexpr std::array table{
    Route{"POST", "/v1/agents", Scope::full, "", "name caid policy policyId metadata reason", create_agent},
    Route{"GET", "/v1/agents", Scope::read, "limit after status metadata.*", "", list_agents},
    Route{"GET", "/v1/agents/{id}", Scope::read, "", "", get_agent},
    Route{"PATCH", "/v1/agents/{id}", Scope::operate, "", "name policy policyId metadata reason",
          update_agent},
    Route{"DELETE", "/v1/agents/{id}", Scope::full, "", "", terminate_agent},
    Route{"POST", "/v1/agents/{id}/pause", Scope::operate, "", "", pause_agent},
    Route{"POST", "/v1/agents/{id}/resume", Scope::operate, "", "", resume_agent},
    Route{"GET", "/v1/agents/{id}/policies", Scope::read, page, "", list_agent_policies},
    Route{"POST", "/v1/agents/{id}/caids", Scope::full, "", "publicKey", add_caid},
    Route{"DELETE", "/v1/agents/{id}/caids/{caid}", Scope::operate, "", "", revoke_caid},
    Route{"POST", "/v1/agents/{id}/fund", Scope::full, "", "amount reference", fund_agent},
    Route{"POST", "/v1/agents/{id}/adjust", Scope::full, "", "amount reason", adjust_agent},
    Route{"GET", "/v1/agents/{id}/spend", Scope::read, "", "", get_spend},
    Route{"GET", "/v1/me", Scope::token, "", "", get_own_spend},
    Route{"POST", "/v1/policies", Scope::full, "", "*", create_policy},
    Route{"GET", "/v1/policies", Scope::read, page, "", list_policies},
    Route{"GET", "/v1/policies/{id}", Scope::read, "", "", get_policy},
    Route{"DELETE", "/v1/policies/{id}", Scope::full, "", "", delete_policy},
    Route{"GET", "/v1/transactions", Scope::read, "limit after agentId status recipient ref from to", "",
          list_transactions},
    // Before /{id}: the first that matches is taken.
    Route{"GET", "/v1/transactions/stats", Scope::read, transaction_filters, "", get_transaction_stats},
    Route{"GET", "/v1/transactions/{id}", Scope::read, "", "", get_transaction},
    Route{"GET", "/v1/ledger/transfers", Scope::read, "limit after agentId day account transactionId", "",
          list_transfers},
    Route{"GET", "/v1/ledger/heads", Scope::read, "limit after agentId counts", "", list_ledger_heads},
    Route{"GET", "/v1/ledger/lines", Scope::read, "limit agentId afterSeq untilSeq", "", list_ledger_lines},
    Route{"GET", "/v1/ledger/prices", Scope::read, "version", "", get_price_book},
    Route{"GET", "/v1/ledger/opening", Scope::read, "agentId from to", "", get_ledger_opening},
    Route{"GET", "/v1/reports/spend", Scope::read, "group_by from to format", "", report_spend},
    Route{"POST", "/v1/api-keys", Scope::full, "", "name scopes", create_api_key},
    Route{"GET", "/v1/api-keys", Scope::full, page, "", list_api_keys},
    Route{"DELETE", "/v1/api-keys/{id}", Scope::full, "", "", revoke_api_key},
};

}  // namespace

std::span<const Route> routes() {
    return table;
}

}  // namespace nomiqon::admin
