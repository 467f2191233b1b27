#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/refusal.h"
#include "nomiqon/core/usdc.h"
#include "nomiqon/metering/price_book.h"

// What a call to a metered provider costs: its bound before it leaves, its charge after it answered. Pure: no
// sockets, no clock, no ledger, so that any exchange can be replayed byte by byte. The rules are those of
// the specification's metering.md, quoted by their numbers.

namespace nomiqon::metering {

/// A header field of a request or an answer; names in any case.
struct Field {
    std::string_view name;
    std::string_view value;
};

/// Fields by which a request can ask some servers for another method or path than it shows
/// (`X-HTTP-Method-Override` and its kin; servers that fold `_` into `-` included). No request that has one
/// is passed on (rule 6).
[[nodiscard]] bool overrides_request(std::string_view field_name);

/// One request as it arrived inside an intercepted connection, its body whole.
struct Call {
    std::string_view method;
    std::string_view path;   ///< byte for byte, without the query
    std::string_view query;  ///< without `?`
    std::span<const Field> fields;
    std::string_view body;  ///< as it came: with its Content-Encoding, without its transfer coding
};

/// A tool that the provider itself runs, as the price book or the route bounds it (rule 12).
struct ToolTerms {
    Usdc fee;                          ///< of one call
    std::int64_t max_calls = 0;        ///< in one request
    std::int64_t tokens_per_call = 0;  ///< that one call's results add to what the model reads
};

/// What the route says beside its meter.
struct MeterTerms {
    std::shared_ptr<const PriceBook> book;
    std::string provider{};                            ///< of the price book; empty: the meter's own
    std::map<std::string, std::string> deployments{};  ///< Azure: deployment → model (rule 8)
    std::map<std::string, ToolTerms> tools{};          ///< before the price book's (`web_search`, …)
    std::int64_t max_read_units = 0;                   ///< Pinecone's reads (rule 14); 0: unknown
    bool allow_deferred = false;  ///< what spends later settles its bound at once (rule 3)
    std::size_t decoded_bytes = 64ULL * 1024 * 1024;  ///< of a compressed request body (rule 7); beyond: 413
    std::size_t answer_bytes = 4ULL * 1024 * 1024;    ///< of an answer's text kept for its meter
    /// `X-Nomiqon-Clamp: 1`: what the agent can still afford. A request whose bound is above gets its own
    /// output limit lowered so that it fits, where that is possible.
    std::optional<Usdc> affordable{};
};

enum class AnswerEnd : std::uint8_t {
    complete,  ///< the body came to its end by its framing
    cut,       ///< the connection broke, stalled, or was given up
};

/// What an answer cost.
struct Charge {
    enum class Kind : std::uint8_t {
        cost,     ///< `cost`, be it above the reservation
        in_full,  ///< the reservation's bound (content came without usage: rule 16)
        unknown,  ///< the bound, marked `unknown` (rule 17)
    };
    Kind kind = Kind::unknown;
    Usdc cost{};
    std::string model{};  ///< as the answer named it; empty: it named none
    /// How the cost was computed, as one line of JSON: the price book's version and, for each pass, the
    /// entry's name, the terms and the counters that aren't 0. `recompute` takes it (rule 19). Empty: nothing
    /// was.
    std::string basis{};
    std::string
        alarm{};  ///< for the operator: a counter, tier or model that the book can't price. Empty: none
};

/// Reads one answer and says what it cost. Used by one thread.
class AnswerMeter {
  public:
    virtual ~AnswerMeter() = default;

    /// The head of the final answer (not of a 1xx).
    virtual void begin(int status, std::span<const Field> fields) = 0;
    /// The next bytes of the body, without its transfer coding. Appends to `out` what may go to the client
    /// now: the bytes themselves, but for an event that the gateway asked for and the client didn't. Holds
    /// back at most one event.
    virtual void read(std::string_view bytes, std::string& out) = 0;
    /// After the last byte: appends what was held back, and says what the answer cost.
    virtual Charge end(AnswerEnd how, std::string& out) = 0;

    /// Whether the answer is a JSON document that may be held back until its cost is known, to tell it in the
    /// head. After `begin`.
    [[nodiscard]] virtual bool is_document() const = 0;
    /// What the head alone decides, where it does. After `begin`.
    [[nodiscard]] virtual std::optional<Usdc> cost_from_head() const { return std::nullopt; }
    /// Whether everything that decides the charge has come, so that a later cut changes nothing.
    [[nodiscard]] virtual bool is_final() const = 0;
    /// For a stream that the gateway cuts: an error event in the provider's own form, as bytes of the body;
    /// empty where the answer is no stream of events, or is compressed. Never one that looks like its end.
    [[nodiscard]] virtual std::string error_event(std::string_view code, std::string_view message,
                                                  std::string_view request_id) const = 0;
};

/// What a call may cost, and what the gateway must do to hold it to that.
struct Quote {
    bool free = false;    ///< one of the provider's free calls (rule 1): bound 0
    Usdc bound{};         ///< never below the charge of any answer that the provider may give
    std::string model{};  ///< as the request names it, for the policy's `models` and the reports; empty: none
    std::vector<std::string>
        other_models{};  ///< that the request lets the provider take instead; for the policy
    /// Goes to the provider instead of the client's body, without Content-Encoding: with what the gateway
    /// asks for (`include_usage`, `maxCalls` of tools, a lowered output limit).
    std::optional<std::string> body{};
    /// The answer must come uncompressed, because an event may have to be taken out of it.
    bool identity_only = false;
    std::optional<std::int64_t> clamped_to{};  ///< the output limit that `affordable` led to
    std::unique_ptr<AnswerMeter> answer;       ///< never null, also of a free call
};

/// One provider's way of being called. Stateless; shared by all threads.
class Meter {
  public:
    virtual ~Meter() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// Reads the request as the provider will, and bounds it. Refusals: `bad_request` (rules 6, 8),
    /// `request_too_large` (rule 7), `price_unknown`.
    [[nodiscard]] virtual std::expected<Quote, Refusal> quote(const Call& call,
                                                              const MeterTerms& terms) const = 0;
};

/// The meter that a route names: `openai`, `anthropic`, …; null: there is none.
[[nodiscard]] const Meter* find_meter(std::string_view name);

/// For a call that costs `price` if it is served: rule 17 says what its answers cost.
[[nodiscard]] std::unique_ptr<AnswerMeter> make_flat_meter(Usdc price);

/// The cost that `Charge::basis` leads to under the price book that it names. Nothing: it can't be read, or
/// `book` is another one.
[[nodiscard]] std::optional<Usdc> recompute(std::string_view basis, const PriceBook& book);

}  // namespace nomiqon::metering
