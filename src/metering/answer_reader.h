#pragma once

#include <map>
#include <memory>
#include <string>

#include "nomiqon/metering/meter.h"
#include "usage_reader.h"

namespace nomiqon::metering {

/// What the request fixed for the settlement of its answer.
struct AnswerTerms {
    std::shared_ptr<const PriceBook> book{};
    std::string provider{};  ///< of the price book
    std::string model{};     ///< as the request named it
    Terms terms{};           ///< as the request named them; an answer's own tier and region go before
    Usdc bound{};
    std::size_t answer_bytes = 4ULL * 1024 * 1024;
    /// Fees of tools that the route gives (`ToolTerms::fee`), by the item's name: they go before the book's.
    std::map<std::string, Usdc> route_fees{};
    /// A JSON answer may be an endless array, each element of it an event (Gemini without `alt=sse`): it is
    /// no document to be held back.
    bool array_stream = false;
};

/// The AnswerMeter of every metered call: undoes the content coding, splits events or gathers the document,
/// lets the provider's UsageReader look at them, and rules on the charge (rules 15 to 17). A JSON answer that
/// is an array comes to the reader as one event for each of its elements.
///
/// A stream that is cut loses what was held of its last, unfinished event: no client would have dispatched
/// it, and the gateway's own error event can follow.
[[nodiscard]] std::unique_ptr<AnswerMeter> make_answer_meter(AnswerTerms terms,
                                                             std::unique_ptr<UsageReader> reader);
/// For a call that costs a fixed amount if it is served (per-call prices, deferred work, free calls): rule 17
/// with `cost` for its answers that succeed.
[[nodiscard]] std::unique_ptr<AnswerMeter> make_flat_answer_meter(Usdc cost, std::string basis);

}  // namespace nomiqon::metering
