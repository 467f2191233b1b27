#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "context.h"

/// What the command line asks for, a struct and a function for each command. command_line.cpp fills them in.
namespace nomiqon::cli {

/// How a policy is said in options. Lists and caps may be `none` where a policy is changed.
struct PolicyFlags {
    std::optional<std::string> daily_cap, total_cap, max_per_request;
    std::vector<std::string> allow, block;
    std::string file;  ///< a policy document or a part of one; `-`: standard input
};

// agents.cpp
struct CreateAgent {
    std::string name;
    PolicyFlags policy;
    std::string policy_id;
    std::vector<std::string> metadata;  ///< key=value
    std::string fund;
    std::string public_key;  ///< of a key pair made elsewhere
};
struct ListAgents {
    std::string status;
    std::vector<std::string> metadata;
    ListOptions list;
};
struct NamedAgent {
    std::string agent;  ///< id or name
};
struct RevokeIdentity {
    std::string agent, caid;
};
struct FundAgent {
    std::string agent, amount, reference;
};
struct AddKey {
    std::string agent, public_key;
};
[[nodiscard]] Outcome<void> create_agent(Context& context, const CreateAgent& options);
[[nodiscard]] Outcome<void> list_agents(Context& context, const ListAgents& options);
[[nodiscard]] Outcome<void> show_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> pause_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> resume_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> freeze_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> unfreeze_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> terminate_agent(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> fund_agent(Context& context, const FundAgent& options);
// identities.cpp
[[nodiscard]] Outcome<void> revoke_identity(Context& context, const RevokeIdentity& options);
[[nodiscard]] Outcome<void> add_key(Context& context, const AddKey& options);

// policy.cpp
struct SetPolicy {
    std::string agent;
    PolicyFlags policy;
    std::vector<std::string> add_allow, remove_allow;
    std::string reason;
    std::optional<std::int32_t> if_version;
};
struct CreateTemplate {
    std::string name;
    PolicyFlags policy;
};
struct NamedTemplate {
    std::string policy;  ///< id or name
};
struct ListOnly {
    ListOptions list;
};
[[nodiscard]] Outcome<void> get_policy(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> set_policy(Context& context, const SetPolicy& options);
[[nodiscard]] Outcome<void> list_policy_versions(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> create_template(Context& context, const CreateTemplate& options);
[[nodiscard]] Outcome<void> list_templates(Context& context, const ListOnly& options);
[[nodiscard]] Outcome<void> delete_template(Context& context, const NamedTemplate& options);

// token.cpp
struct MintToken {
    std::string agent;
    std::string use = "once";
    std::string max, ttl, method, url, ref;
    std::string audience = "nomiqon";
    std::optional<std::string> proxy;  ///< `--proxy-url`, with its host and port
};
struct InspectToken {
    std::string token;
};
struct VerifyToken {
    std::string token;
    std::optional<std::int64_t> now;
    std::string audience = "nomiqon";
    std::string method, url;
};
struct Me {
    std::string agent;
    std::string audience = "nomiqon";
};
[[nodiscard]] Outcome<void> mint_token(Context& context, const MintToken& options);
[[nodiscard]] Outcome<void> inspect_token(Context& context, const InspectToken& options);
[[nodiscard]] Outcome<void> verify_token(Context& context, const VerifyToken& options);

// reports.cpp
struct TransactionFilters {
    std::string agent, status, recipient, ref, from, to;
};
struct ListTransactions {
    TransactionFilters filters;
    ListOptions list;
};
struct ShowTransaction {
    std::string id;
};
struct ListTransfers {
    std::string agent, day, account, transaction;
    ListOptions list;
};
struct ReportSpend {
    std::string group_by = "agent,day";
    std::string from, to;
    bool csv = false;
};
[[nodiscard]] Outcome<void> list_transactions(Context& context, const ListTransactions& options);
[[nodiscard]] Outcome<void> show_transaction(Context& context, const ShowTransaction& options);
[[nodiscard]] Outcome<void> transaction_stats(Context& context, const TransactionFilters& options);
[[nodiscard]] Outcome<void> list_transfers(Context& context, const ListTransfers& options);
[[nodiscard]] Outcome<void> report_spend(Context& context, const ReportSpend& options);
[[nodiscard]] Outcome<void> agent_spend(Context& context, const NamedAgent& options);
[[nodiscard]] Outcome<void> show_me(Context& context, const Me& options);

// ledger_verify.cpp
struct VerifyLedger {
    std::string agent, from, to;
    std::string file;                ///< evidence, instead of a gateway's ledger; `-`: standard input
    std::string heads;               ///< what an earlier `--json` printed
    std::vector<std::string> caids;  ///< that are known to be the evidence's agent's
    bool no_signatures = false;
    std::size_t jobs = 0;  ///< 0: as many as there are processors
};
[[nodiscard]] Outcome<void> verify_ledger(Context& context, const VerifyLedger& options);
// ledger_export.cpp
struct ExportLedger {
    std::string agent, day, output;
};
[[nodiscard]] Outcome<void> export_ledger(Context& context, const ExportLedger& options);
// ledger_adjust.cpp
struct AdjustLedger {
    std::string agent, amount, reason;
};
[[nodiscard]] Outcome<void> adjust_ledger(Context& context, const AdjustLedger& options);

// prices.cpp
struct ShowPrices {
    std::string model;  ///< empty: all of them
    std::string file;   ///< instead of the prices that come with the gateway; `-`: standard input
    std::string provider;
};
struct CheckPrices {
    std::string file;
    bool strict = false;
};
struct ImportPrices {
    std::string file, output;
    std::vector<std::string> providers, models;
};
[[nodiscard]] Outcome<void> show_prices(Context& context, const ShowPrices& options);
[[nodiscard]] Outcome<void> check_prices(Context& context, const CheckPrices& options);
[[nodiscard]] Outcome<void> import_prices(Context& context, const ImportPrices& options);

// ca.cpp
struct ShowCa {
    std::string data_dir;  ///< empty: NOMIQON_DATA_DIR, or the gateway's default
};
struct ExportCa {
    std::string data_dir, output;
    bool with_system_roots = false;
};
struct RotateCa {
    std::string data_dir;
    bool activate = false, cancel = false;
    std::vector<std::string> name_constraints;  ///< empty: those of the CA that signs; `none`: none
};
struct ImportCa {
    std::string data_dir, certificate, key;
    bool next = false;
};
[[nodiscard]] Outcome<void> show_ca(Context& context, const ShowCa& options);
[[nodiscard]] Outcome<void> export_ca(Context& context, const ExportCa& options);
[[nodiscard]] Outcome<void> rotate_ca(Context& context, const RotateCa& options);
[[nodiscard]] Outcome<void> import_ca(Context& context, const ImportCa& options);

// api_keys.cpp
struct CreateApiKey {
    std::string name;
    std::vector<std::string> scopes{"read"};
};
struct DeleteApiKey {
    std::string id;
};
[[nodiscard]] Outcome<void> create_api_key(Context& context, const CreateApiKey& options);
[[nodiscard]] Outcome<void> list_api_keys(Context& context, const ListOnly& options);
[[nodiscard]] Outcome<void> delete_api_key(Context& context, const DeleteApiKey& options);
[[nodiscard]] Outcome<void> show_version(Context& context, const ListOnly& options);

}  // namespace nomiqon::cli
