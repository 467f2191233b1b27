#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api_client.h"
#include "nomiqon/audit/auditor.h"
#include "nomiqon/metering/meter.h"

/// The audit of one agent's chain as the API gives it, shared by the commands of `ledger`.
namespace nomiqon::cli {

/// The price books that charges name, read from the gateway once each. Thread-safe.
class PriceBooks {
  public:
    /// What a basis leads to; nothing where its book is gone or it can't be read.
    std::optional<Usdc> recompute(ApiClient& api, std::string_view basis);

  private:
    std::shared_ptr<const metering::PriceBook> find(ApiClient& api, const std::string& version);

    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<const metering::PriceBook>> books_;  // null: there is none
};

struct AuditScope {
    std::string from, to;  ///< days; empty: from the first line, up to the last
    bool tokens = true;
    /// The heads that were kept elsewhere: the chains must hold them still.
    std::map<std::string, audit::Head> kept{};
    std::shared_ptr<PriceBooks> prices = std::make_shared<PriceBooks>();
};

struct AgentAudit {
    std::string agent, name;
    std::int64_t lines = 0;
    audit::Head head{};  ///< of the last line that was read
    std::optional<audit::Finding> finding{};
};

/// The most lines of one page.
inline constexpr std::int64_t lines_a_page = 1000;

/// What the lines before a day add up to, and the last line up to another day.
struct OpeningAnswer {
    audit::Opening opening;
    std::int64_t until = 0;
    Json document;
};
[[nodiscard]] Outcome<OpeningAnswer> get_opening(ApiClient& api, const std::string& agent,
                                                 const std::string& from, const std::string& to);

/// One page of `{"line", "hash"}`.
[[nodiscard]] Outcome<Json> get_lines(ApiClient& api, const std::string& agent, std::int64_t after,
                                      std::int64_t until);

/// Reads up to the head that the agent has at the beginning: what is written meanwhile is not waited for.
/// `progress` counts lines; false from `go_on` ends it early.
[[nodiscard]] Outcome<AgentAudit> audit_agent(ApiClient& api, const std::string& agent,
                                              const AuditScope& scope, std::atomic<std::int64_t>& progress,
                                              const std::function<bool()>& go_on);

/// As `--json` prints a finding, and as a person reads it.
[[nodiscard]] Json finding_json(const audit::Finding& finding);
[[nodiscard]] std::string finding_text(const audit::Finding& finding, const std::string& name);

}  // namespace nomiqon::cli
