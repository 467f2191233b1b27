#pragma once

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/audit/auditor.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::audit {

inline constexpr std::int64_t usdc = 1'000'000'000;
inline const std::string agent_id = "ag_01hx0000000000000000000000";

/// What a reservation asks for. The token is minted for it unless it is given.
struct Ask {
    std::int64_t held = usdc;
    std::optional<std::int64_t> bound{};  ///< else what is held
    std::int64_t overrun_limit = 0;
    std::optional<std::int64_t> daily_cap = 100 * usdc, total_cap{}, token_max{};
    std::string scheme = "https", host = "api.llm.example", method = "POST", ref{};
    std::string jti{};
    std::int64_t lives = 60;
    bool session = false;
    std::string htm{}, htu{};
    std::string token{};
    std::string caid{};
};

/// Writes chains by hand, honest ones and others: it checks nothing, and shares no code with what it tests
/// (its own JSON, libsodium's SHA-256).
class ChainBuilder {
  public:
    struct Entry {
        std::string line;
        Hash hash;
    };

    void fund(std::int64_t amount) { movement("fund", "treasury", "wallet", amount, "null", "\"ref-1\""); }
    void give_back(std::int64_t amount) { movement("return", "wallet", "treasury", amount, "null", "null"); }
    void adjust(std::int64_t amount) {
        const bool refund = amount > 0;
        movement("adjust", refund ? "treasury" : "wallet", refund ? "wallet" : "treasury", std::abs(amount),
                 "null", "\"a refund\"");
    }

    std::string reserve(Ask ask = {}) {
        const std::string id = next_id("txn_");
        if (ask.jti.empty()) ask.jti = "jti-0000-0000-" + std::to_string(100000 + count_);
        const std::int64_t exp = unix_seconds(now) + ask.lives;
        if (ask.token.empty()) {
            ask.token = key.mint(
                {.iat = unix_seconds(now) - 1,
                 .exp = exp,
                 .jti = ask.jti,
                 .use = ask.session ? token::TokenUse::session : token::TokenUse::once,
                 .max = ask.token_max ? std::optional{Usdc::from_nanos(*ask.token_max)} : std::nullopt,
                 .htm = ask.htm,
                 .htu = ask.htu,
                 .ref = ask.ref});
        }
        const auto number = [](const std::optional<std::int64_t>& n) {
            return n ? std::to_string(*n) : "null";
        };
        hosts_[id] = ask.host;
        helds_[id] = ask.held;
        days_[id] = format_day(day_of(now));
        movement("reserve", "wallet", "held", ask.held, quote(id), "null",
                 join({quote("req_1"), quote("gw_1"), quote(ask.caid.empty() ? key.caid().str() : ask.caid),
                       "3", std::to_string(ask.bound.value_or(ask.held)), std::to_string(ask.overrun_limit),
                       number(ask.daily_cap), number(ask.total_cap), number(ask.token_max), quote(ask.scheme),
                       quote(ask.host), ask.scheme == "http" ? "80" : "443", quote(ask.method),
                       quote("gpt-4o"), ask.ref.empty() ? "null" : quote(ask.ref), quote(ask.jti),
                       std::to_string(exp), ask.session ? "true" : "false", quote(ask.token)}));
        return id;
    }

    void settle(const std::string& id, std::int64_t cost, bool unknown = false,
                const std::string& reason = "") {
        const auto held_amount = helds_.at(id);
        ending(id, "settle", "provider:" + hosts_.at(id), std::min(cost, held_amount), "settled", cost,
               unknown, cost > held_amount, reason);
        if (cost < held_amount) movement("release", "held", "wallet", held_amount - cost, quote(id), "null");
        if (cost > held_amount)
            movement("settle", "wallet", "provider:" + hosts_.at(id), cost - held_amount, quote(id), "null");
    }
    void release(const std::string& id) {
        ending(id, "release", "wallet", helds_.at(id), "released", 0, false, false, "upstream_unreachable");
    }
    void expire(const std::string& id) { settle(id, helds_.at(id), true, "expired"); }
    void correct(const std::string& id, std::int64_t booked, std::int64_t cost) {
        const auto account = "provider:" + hosts_.at(id);
        const bool cheaper = cost < booked;
        movement("correct", cheaper ? account : "wallet", cheaper ? "wallet" : account,
                 std::abs(booked - cost), quote(id), "null",
                 join({std::to_string(cost), "null", "null", "null", quote(days_.at(id))}));
    }
    void ending(const std::string& id, const std::string& kind, const std::string& credit,
                std::int64_t amount, const std::string& word, std::int64_t cost, bool unknown, bool overrun,
                const std::string& reason = "") {
        movement(
            kind, "held", credit, amount, quote(id), "null",
            join({quote(word), std::to_string(cost), unknown ? "true" : "false", overrun ? "true" : "false",
                  reason.empty() ? "null" : quote(reason), "null", "null", quote(days_.at(id))}));
    }

    void movement(const std::string& kind, const std::string& debit, const std::string& credit,
                  std::int64_t amount, const std::string& transaction, const std::string& reference,
                  const std::string& more = "") {
        now += std::chrono::milliseconds{10};
        auto text = join({quote(kind), std::to_string(++count_), quote(agent_id),
                          quote(format_day(day_of(now))), std::to_string(now.time_since_epoch().count()),
                          quote(debit), quote(credit), std::to_string(amount), transaction, reference});
        if (!more.empty()) text += ", " + more;
        add("[" + text + "]");
    }
    void add(const std::string& line) {
        const Hash previous = entries.empty() ? Hash{} : entries.back().hash;
        entries.push_back({line, link(previous, line)});
    }

    /// As somebody would who owns the database and knows the chain: changes one line's text, and chains anew.
    void forge(std::size_t seq, std::string_view from, std::string_view to) {
        auto& line = entries.at(seq - 1).line;
        const auto place = line.find(from);
        ASSERT_NE(place, std::string::npos) << line;
        line.replace(place, from.size(), to);
        Hash previous = seq > 1 ? entries.at(seq - 2).hash : Hash{};
        for (std::size_t i = seq - 1; i < entries.size(); ++i)
            previous = entries[i].hash = link(previous, entries[i].line);
    }

    static Hash link(const Hash& previous, const std::string& line) {
        crypto_hash_sha256_state state;
        crypto_hash_sha256_init(&state);
        crypto_hash_sha256_update(&state, previous.data(), previous.size());
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(line.data()), line.size());
        Hash hash{};
        crypto_hash_sha256_final(&state, hash.data());
        return hash;
    }
    static std::string quote(const std::string& text) { return nlohmann::json(text).dump(); }
    static std::string join(const std::vector<std::string>& members) {
        std::string text;
        for (const auto& member : members)
            text += (text.empty() ? "" : ", ") + member;
        return text;
    }

    token::SigningKey key = token::SigningKey::from_seed(std::string(32, 'k')).value();
    Time now = parse_time("2026-05-24T12:00:00Z").value();
    std::vector<Entry> entries;

  private:
    std::string next_id(const std::string& prefix) {
        auto digits = std::to_string(count_ + 1);
        return prefix + "01hx" + std::string(22 - digits.size(), '0') + digits;
    }

    std::int64_t count_ = 0;
    std::map<std::string, std::string> hosts_, days_;
    std::map<std::string, std::int64_t> helds_;
};

/// What an audit of the chain finds, its end included.
inline std::optional<Finding> audit_of(const ChainBuilder& chain, Auditor& auditor) {
    for (const auto& entry : chain.entries)
        if (auto finding = auditor.add(entry.line, entry.hash)) return finding;
    return auditor.finish();
}

inline std::optional<Finding> audit_of(const ChainBuilder& chain, bool tokens = true) {
    Auditor auditor{agent_id, {.tokens = tokens}};
    return audit_of(chain, auditor);
}

/// `daily_cap at 7`, or `clean`.
inline std::string told(const std::optional<Finding>& finding) {
    if (!finding) return "clean";
    return std::string{info(finding->invariant).name} + " at " + std::to_string(finding->seq);
}

}  // namespace nomiqon::audit
