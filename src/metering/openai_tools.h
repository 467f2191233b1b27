#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "model_price.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"
#include "openai_bound.h"

namespace nomiqon::metering {

/// The tools of a request that the provider itself runs (rule 12), bounded together: any of its calls may be
/// of any of them.
struct OpenAiTools {
    std::int64_t max_calls = 0;  ///< 0: it runs none
    std::int64_t tokens_per_call = 0;
    std::map<std::string, Usdc> route_fees{};
    std::map<std::string, Usdc> book_fees{};

    /// The tool `name` (`web_search`, …), at the route's terms or, where `from_book`, at the price book's.
    /// Refused: there are neither.
    [[nodiscard]] std::expected<void, Refusal> add(std::string_view name, const MeterTerms& terms,
                                                   const ModelPrice& model, bool from_book);
    /// Fees of the dearest calls, into `bound`; and what the model reads: the sum of `most` at most over each
    /// pass.
    void bound_calls(OpenAiBound& bound, std::int64_t most) const;
};

/// `tools` of a request. `from_book`: the API is one whose web search the price book knows.
[[nodiscard]] std::expected<void, Refusal> read_tools(const nlohmann::json& tools, const MeterTerms& terms,
                                                      const ModelPrice& model, bool from_book,
                                                      OpenAiTools& found);

/// The tool that an item of an answer is a call of, by the names of the price book's items and the route's
/// tools; empty: it is none that the provider ran, or costs nothing by itself. Tools that may be run by
/// either side are the provider's where the route has a fee for them.
[[nodiscard]] std::string tool_of_item(const nlohmann::json& item,
                                       const std::map<std::string, Usdc>& route_fees);

}  // namespace nomiqon::metering
