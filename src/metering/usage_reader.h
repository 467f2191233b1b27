#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/usdc.h"
#include "nomiqon/metering/usage.h"

namespace nomiqon::metering {

/// What an answer has said of its use so far. The last word of each counter counts (rule 15).
struct Reported {
    std::vector<Pass> passes{};  ///< one; more where the provider reports iterations, each at its model
    bool usage = false;          ///< counters came that may be believed: not a placeholder
    bool final = false;          ///< they are the provider's last: a later cut changes nothing
    bool content = false;        ///< something that was produced came
    bool failed = false;         ///< the provider said that the call failed, in a body or an event
    std::optional<Usdc> stated_cost{};  ///< the provider's own figure, where its row says that it counts
    std::string unpriced{};  ///< a counter that this reader doesn't know: the charge can't be computed
};

/// Finds the use in one provider's answers, whatever its transport. One an answer.
class UsageReader {
  public:
    virtual ~UsageReader() = default;

    enum class Event : std::uint8_t {
        pass,
        hide,  ///< the gateway asked for it, the client didn't
    };
    /// A whole JSON answer. Long strings and arrays of numbers in it may have been shortened (json_skim.h).
    virtual void document(const nlohmann::json& answer) = 0;
    /// One event of a stream: its `event:` name (may be empty) and its data, when that is JSON.
    virtual Event event(std::string_view name, const nlohmann::json& data) = 0;
    /// One event whose data is no JSON (`[DONE]`).
    virtual void text_event(std::string_view /*name*/, std::string_view /*data*/) {}
    /// An error event in the provider's form, complete with its empty line (answer_reader adds nothing).
    [[nodiscard]] virtual std::string error_event(std::string_view code, std::string_view message,
                                                  std::string_view request_id) const = 0;

    Reported reported{};
};

/// A counter of an answer. Nothing: it is absent or null, or no whole number from 0 to a thousand million;
/// then `reported.unpriced` says so.
[[nodiscard]] std::optional<std::int64_t> read_counter(const nlohmann::json& object, std::string_view name,
                                                       Reported& reported);
/// A string member; empty: there is none.
[[nodiscard]] std::string read_name(const nlohmann::json& object, std::string_view name);

}  // namespace nomiqon::metering
