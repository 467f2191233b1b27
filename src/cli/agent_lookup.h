#pragma once

#include <string>
#include <string_view>

#include "api_client.h"

namespace nomiqon::cli {

/// The agent that a person names, by id or by name, as the API shows it. Names are unique among agents that
/// aren't terminated, so a terminated one is found by its name only where no other bears it.
[[nodiscard]] Outcome<Json> find_agent(ApiClient& api, std::string_view id_or_name);

/// Its id alone; an id as typed is not asked for.
[[nodiscard]] Outcome<std::string> find_agent_id(ApiClient& api, std::string_view id_or_name);

/// `/v1/agents/<id>`
[[nodiscard]] std::string agent_path(std::string_view id);

}  // namespace nomiqon::cli
