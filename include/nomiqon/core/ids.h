#pragma once

#include <chrono>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace nomiqon {

/// A new ULID in lower case: 48 bits of milliseconds, 80 random bits, 26 characters of Crockford's base 32.
/// Sorts by creation time to the millisecond, which never goes back within a process. Thread-safe.
[[nodiscard]] std::string new_ulid();
/// The first ULID that could be made in this millisecond.
[[nodiscard]] std::string first_ulid(std::chrono::system_clock::time_point time);
[[nodiscard]] bool is_ulid(std::string_view text) noexcept;

/// An identifier of one kind of thing: a prefix and a lower-case ULID, such as `ag_01hx…`. Kinds don't mix.
template <class Tag>
class Id {
  public:
    static Id generate() { return Id{std::string{Tag::prefix} + new_ulid()}; }
    /// No id that is generated at `time` or later sorts before this one.
    static Id first_at(std::chrono::system_clock::time_point time) {
        return Id{std::string{Tag::prefix} + first_ulid(time)};
    }
    static std::optional<Id> parse(std::string_view text) {
        if (!text.starts_with(Tag::prefix) || !is_ulid(text.substr(Tag::prefix.size()))) return std::nullopt;
        return Id{std::string{text}};
    }
    [[nodiscard]] const std::string& str() const { return text_; }
    friend auto operator<=>(const Id&, const Id&) = default;

  private:
    explicit Id(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

struct AgentTag {
    static constexpr std::string_view prefix = "ag_";
};
struct PolicyTag {
    static constexpr std::string_view prefix = "pol_";
};
struct TransactionTag {
    static constexpr std::string_view prefix = "txn_";
};
struct RequestTag {
    static constexpr std::string_view prefix = "req_";
};
struct ApiKeyTag {
    static constexpr std::string_view prefix = "key_";
};
struct GatewayTag {
    static constexpr std::string_view prefix = "gw_";
};

using AgentId = Id<AgentTag>;
using PolicyId = Id<PolicyTag>;
/// A reservation and the transaction that it becomes are one thing with one id.
using TransactionId = Id<TransactionTag>;
using RequestId = Id<RequestTag>;
using ApiKeyId = Id<ApiKeyTag>;
/// One run of one gateway process; its lease keeps its open reservations alive.
using GatewayId = Id<GatewayTag>;

}  // namespace nomiqon
