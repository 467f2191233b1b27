// The table of the configuration's keys: name, kind, bounds, and the member of Config that each sets. A new
// key is one row here, one in docs/configuration.md and one in config/nomiqon.json; a test holds the three
// together.

#include "config_keys.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <functional>
#include <string>

#include "config_routes.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::config_detail {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Key {
    std::string_view name;
    std::function<void(const Value&, Config&)> read;
    std::function<std::string(const Config&)> show;  ///< the value as JSON; none: no fixed default
    std::string range;
};

struct Section {
    std::string_view name;
    std::vector<Key> keys;
};

std::string as_json(const nlohmann::json& value) {
    return value.dump();
}

template <typename Slot>
Key duration_key(std::string_view name, Duration min, Duration max, Slot slot) {
    return {.name = name,
            .read = [=](const Value& v, Config& c) { slot(c) = v.duration(min, max).value_or(slot(c)); },
            .show = [=](const Config& c) { return as_json(format_duration(slot(c))); },
            .range = format_duration(min) + "–" + format_duration(max)};
}

template <typename Slot>
Key count_key(std::string_view name, std::uint64_t min, std::uint64_t max, Slot slot) {
    return {.name = name,
            .read =
                [=](const Value& v, Config& c) {
                    using Number = std::remove_reference_t<decltype(slot(c))>;
                    if (const auto n = v.count(min, max)) slot(c) = static_cast<Number>(*n);
                },
            .show = [=](const Config& c) { return as_json(slot(c)); },
            .range = std::to_string(min) + "–" + std::to_string(max)};
}

template <typename Slot>
Key flag_key(std::string_view name, Slot slot) {
    return {.name = name,
            .read = [=](const Value& v, Config& c) { slot(c) = v.boolean().value_or(slot(c)); },
            .show = [=](const Config& c) { return as_json(slot(c)); },
            .range = ""};
}

template <std::size_t N, typename Slot>
Key choice_key(std::string_view name, const std::array<std::string_view, N>& choices, Slot slot) {
    return {.name = name,
            .read = [=](const Value& v, Config& c) { slot(c) = v.one_of(choices).value_or(slot(c)); },
            .show = [=](const Config& c) { return as_json(slot(c)); },
            .range = ""};
}

template <typename Slot>
Key listen_key(Slot slot) {
    return {.name = "listen",
            .read =
                [=](const Value& v, Config& c) {
                    const auto text = v.text();
                    if (!text) return;
                    const auto address = ListenAddress::parse(*text);
                    if (!address) {
                        return v.problem(in_backticks(*text) +
                                         " is no address and port, such as \"127.0.0.1:3128\"");
                    }
                    slot(c) = *address;
                },
            .show = [=](const Config& c) { return as_json(slot(c).to_string()); },
            .range = ""};
}

Key own_key(std::string_view name, void (*read)(const Value&, Config&),
            std::string (*show)(const Config&) = nullptr) {
    return {.name = name, .read = read, .show = show, .range = ""};
}

template <typename Slot>
Key database_url_key(std::string_view name, Slot slot) {
    return {.name = name,
            .read =
                [=](const Value& v, Config& c) {
                    bool references = false;
                    const auto url = v.secret(references);
                    if (!url) return;
                    if (auto problem = database_url_problem(url->reveal())) {
                        return v.problem(std::move(*problem));
                    }
                    slot(c) = url->reveal();
                },
            .show = nullptr,
            .range = ""};
}

void read_data_dir(const Value& value, Config& config) {
    if (auto path = value.path()) config.data_dir = std::move(*path);
}

void read_audience(const Value& value, Config& config) {
    const auto text = value.text();
    if (!text) return;
    if (text->size() > 255) return value.problem("is longer than 255 bytes");
    config.token.audience = *text;
}

void read_backend(const Value& value, Config& config) {
    constexpr std::array<std::string_view, 2> backends{"ledger", "solana"};
    const auto backend = value.one_of(backends);
    if (!backend) return;
    if (*backend == "solana")
        return value.problem("`solana` is not built yet in this version; use \"ledger\"");
    config.wallet.backend = *backend;
}

void read_mint(const Value& value, Config& config) {
    const auto text = value.text();
    if (!text) return;
    const auto bytes = base58_decode(*text, 32);
    if (!bytes || bytes->size() != 32) {
        return value.problem(in_backticks(*text) + " is no Solana address: 32 bytes in base58");
    }
    config.wallet.mint = *text;
}

/// `address` with everything after the first `prefix` bits cleared.
IpAddress network_of(const IpAddress& address, unsigned prefix) {
    auto bytes = address.bytes();
    for (unsigned i = 0; i < bytes.size(); ++i) {
        const unsigned kept = prefix > i * 8 ? std::min(prefix - i * 8, 8U) : 0;
        bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xFF00U >> kept));
    }
    if (address.is_v4()) return IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
    return IpAddress::v6(bytes);
}

/// What to write instead of a block that IpNetwork refuses, where it can be told.
std::optional<std::string> meant_network(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const unsigned width = address->is_v4() ? 32 : 128;
    if (slash == std::string_view::npos) return address->to_string() + '/' + std::to_string(width);
    const auto digits = text.substr(slash + 1);
    if (digits.empty() || digits.size() > 3 ||
        digits.find_first_not_of("0123456789") != std::string_view::npos) {
        return std::nullopt;
    }
    const auto prefix = static_cast<unsigned>(std::stoul(std::string(digits)));
    if (prefix > width) return std::nullopt;
    return network_of(*address, prefix).to_string() + '/' + std::to_string(prefix);
}

void read_allow_private(const Value& value, Config& config) {
    if (!value.expect_array()) return;
    for (std::size_t i = 0; i < value.data().size(); ++i) {
        const auto element = value.element(i);
        const auto text = element.text();
        if (!text) continue;
        const auto network = IpNetwork::parse(*text);
        if (!network) {
            const auto meant = meant_network(*text);
            element.problem(in_backticks(*text) + " is no CIDR block" +
                            (meant ? "; did you mean `" + *meant + "`?" : ", such as \"10.0.0.0/8\""));
            continue;
        }
        if (text->ends_with("/0"))
            element.warning("permits every address, cloud metadata services among them");
        config.upstream.allow_private.push_back(*network);
    }
}

void read_resolve(const Value& value, Config& config) {
    if (!value.expect_object()) return;
    for (const auto& [name, unused] : value.data().items()) {
        const auto member = value.member(name);
        const auto from = Endpoint::parse(name);
        if (!from) {
            member.problem(in_backticks(name) + " must be \"host:port\": " + from.error());
            continue;
        }
        const auto text = member.text();
        if (!text) continue;
        const auto to = ListenAddress::parse(*text);
        if (!to || to->port == 0) {
            member.problem("must be an address and a port, such as \"127.0.0.1:8443\"");
            continue;
        }
        const bool added =
            config.upstream.resolve.emplace(from->to_string(), std::pair{to->address, to->port}).second;
        if (!added) member.problem("is the same host and port as another entry: " + from->to_string());
    }
}

void read_ca_file(const Value& value, Config& config) {
    constexpr std::size_t largest = 8UL * 1024 * 1024;
    auto path = value.path();
    if (!path) return;
    const auto content = read_file(*path, largest);
    if (!content) return value.problem(path->string() + ' ' + content.error());
    const auto begin = content->find("-----BEGIN CERTIFICATE-----");
    if (begin == std::string::npos ||
        content->find("-----END CERTIFICATE-----", begin) == std::string::npos) {
        return value.problem(path->string() + " holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    config.upstream.ca_file = std::move(*path);
}

void read_name_constraints(const Value& value, Config& config) {
    constexpr std::size_t most = 256;  // clients compare each one with each name
    if (!value.expect_array()) return;
    if (value.data().size() > most)
        return value.problem("has more than " + std::to_string(most) + " entries");
    for (std::size_t i = 0; i < value.data().size(); ++i) {
        const auto element = value.element(i);
        const auto text = element.text();
        if (!text) continue;
        // RFC 5280 section 4.2.1.10: a suffix stands for itself and all names below it, and has no star.
        const auto begin = std::min(text->find_first_not_of("*."), text->size());
        const auto host = HostName::parse(text->substr(begin));
        if (begin == 0 && host && !host->is_ip_literal()) {
            config.tls.name_constraints.push_back(host->str());
            continue;
        }
        element.problem(in_backticks(*text) + " is no DNS suffix" +
                        (host && !host->is_ip_literal()
                             ? "; `" + host->str() + "` stands for itself and all names below it"
                             : ", such as \"openai.com\""));
    }
}

void read_models(const Value& value, Config& config) {
    constexpr std::size_t largest = 64UL * 1024 * 1024;
    auto path = value.path();
    if (!path) return;
    const auto content = read_file(*path, largest);
    if (!content) return value.problem(path->string() + ' ' + content.error());
    const auto book = nlohmann::json::parse(*content, nullptr, false);
    if (book.is_discarded()) return value.problem(path->string() + " is not valid JSON");
    if (!book.is_object())
        return value.problem(path->string() + " must hold one JSON object, a member a model");
    config.prices.models = std::move(*path);
}

std::vector<Section> listener_sections() {
    return {
        {"proxy",
         {listen_key([](auto& c) -> auto& { return c.proxy_listen; }),
          count_key("threads", 0, 1024, [](auto& c) -> auto& { return c.threads; }),
          flag_key("costComment", [](auto& c) -> auto& { return c.cost_comment; })}},
        {"admin", {listen_key([](auto& c) -> auto& { return c.admin_listen; })}},
    };
}

std::vector<Section> money_sections() {
    return {
        {"database",
         {database_url_key("url", [](auto& c) -> auto& { return c.database.url; }),
          database_url_key("runtimeUrl", [](auto& c) -> auto& { return c.database.runtime_url; }),
          count_key("connections", 1, 64, [](auto& c) -> auto& { return c.database.connections; }),
          duration_key("timeout", milliseconds(100), minutes(1),
                       [](auto& c) -> auto& { return c.database.timeout; }),
          count_key("queue", 1, 1'000'000, [](auto& c) -> auto& { return c.database.queue; }),
          count_key("batch", 1, 4096, [](auto& c) -> auto& { return c.database.batch; })}},
        {"token",
         {own_key("audience", read_audience, [](const Config& c) { return as_json(c.token.audience); })}},
        {"wallet",
         {own_key("backend", read_backend, [](const Config& c) { return as_json(c.wallet.backend); }),
          own_key("mint", read_mint, [](const Config& c) { return as_json(c.wallet.mint); })}},
        {"policy",
         {flag_key("requireAllowlist", [](auto& c) -> auto& { return c.policy.require_allowlist; })}},
        {"reservation",
         {duration_key("wait", seconds(0), minutes(1), [](auto& c) -> auto& { return c.reservation.wait; }),
          duration_key("lease", seconds(5), hours(1), [](auto& c) -> auto& { return c.reservation.lease; })}},
    };
}

std::vector<Section> upstream_sections() {
    constexpr auto ten = milliseconds(10);
    return {
        {"upstream",
         {own_key("allowPrivate", read_allow_private, [](const Config&) { return std::string("[]"); }),
          own_key("resolve", read_resolve, [](const Config&) { return std::string("{}"); }),
          own_key("caFile", read_ca_file),
          duration_key("connectTimeout", ten, minutes(5),
                       [](auto& c) -> auto& { return c.upstream.connect_timeout; }),
          duration_key("resolveTimeout", ten, minutes(5),
                       [](auto& c) -> auto& { return c.upstream.resolve_timeout; }),
          duration_key("responseTimeout", ten, hours(24),
                       [](auto& c) -> auto& { return c.upstream.response_timeout; }),
          duration_key("idleTimeout", ten, hours(24),
                       [](auto& c) -> auto& { return c.upstream.idle_timeout; })}},
        {"tls",
         {own_key("nameConstraints", read_name_constraints, [](const Config&) { return std::string("[]"); }),
          count_key("leaves", 16, 1'000'000, [](auto& c) -> auto& { return c.tls.leaves; }),
          count_key("mintQueue", 1, 1'000'000, [](auto& c) -> auto& { return c.tls.mint_queue; }),
          count_key("upstreamSessions", 0, 1'000'000,
                    [](auto& c) -> auto& { return c.tls.upstream_sessions; })}},
        {"prices", {own_key("models", read_models)}},
    };
}

std::vector<Section> limit_sections() {
    constexpr auto ten = milliseconds(10);
    constexpr std::uint64_t mib = 1024UL * 1024;
    return {
        {"limits",
         {count_key("headerBytes", 1024, mib, [](auto& c) -> auto& { return c.limits.header_bytes; }),
          count_key("headerCount", 8, 10'000, [](auto& c) -> auto& { return c.limits.header_count; }),
          count_key("bodyBytes", 1024, mib * mib, [](auto& c) -> auto& { return c.limits.body_bytes; }),
          count_key("connections", 1, 1'000'000, [](auto& c) -> auto& { return c.limits.connections; }),
          duration_key("headerTimeout", ten, minutes(10),
                       [](auto& c) -> auto& { return c.limits.header_timeout; }),
          duration_key("idleTimeout", ten, hours(24), [](auto& c) -> auto& { return c.limits.idle_timeout; }),
          count_key("bufferedBytes", mib, mib * mib,
                    [](auto& c) -> auto& { return c.limits.buffered_bytes; }),
          count_key("answerBytes", 4096, 1024 * mib, [](auto& c) -> auto& { return c.limits.answer_bytes; }),
          count_key("drains", 0, 1'000'000, [](auto& c) -> auto& { return c.limits.drains; }),
          duration_key("drainTime", seconds(0), hours(1),
                       [](auto& c) -> auto& { return c.limits.drain_time; }),
          count_key("drainBytes", 0, mib * mib, [](auto& c) -> auto& { return c.limits.drain_bytes; }),
          duration_key("clientHelloTimeout", ten, minutes(10),
                       [](auto& c) -> auto& { return c.limits.client_hello_timeout; }),
          count_key("adminBodyBytes", 1024, 64 * mib,
                    [](auto& c) -> auto& { return c.limits.admin_body_bytes; }),
          count_key("adminConnections", 1, 65'536,
                    [](auto& c) -> auto& { return c.limits.admin_connections; }),
          count_key("refusals", 0, 10'000'000, [](auto& c) -> auto& { return c.limits.refusals; }),
          count_key("dnsEntries", 0, 1'000'000, [](auto& c) -> auto& { return c.limits.dns_entries; }),
          duration_key("dnsTtl", seconds(0), hours(1), [](auto& c) -> auto& { return c.limits.dns_ttl; }),
          count_key("dnsThreads", 2, 256, [](auto& c) -> auto& { return c.limits.dns_threads; }),
          count_key("dnsPerAgent", 1, 255, [](auto& c) -> auto& { return c.limits.dns_per_agent; })}},
        {"shutdown",
         {duration_key("drain", seconds(0), hours(1), [](auto& c) -> auto& { return c.shutdown.drain; })}},
        {"log",
         {choice_key("level", std::array<std::string_view, 5>{"trace", "debug", "info", "warn", "error"},
                     [](auto& c) -> auto& { return c.log.level; }),
          choice_key("format", std::array<std::string_view, 2>{"text", "json"},
                     [](auto& c) -> auto& { return c.log.format; })}},
    };
}

struct Table {
    std::vector<Key> top;
    std::vector<Section> sections;
};

Table make_table() {
    Table table;
    table.top = {own_key("dataDir", read_data_dir),
                 own_key(
                     "routes", [](const Value& v, Config& c) { read_routes(v, c.routes); },
                     [](const Config&) { return std::string("[]"); })};
    for (auto group : {listener_sections, money_sections, upstream_sections, limit_sections}) {
        for (auto& section : group())
            table.sections.push_back(std::move(section));
    }
    return table;
}

void read_section(const Value& value, const Section& section, Config& config) {
    if (!value.expect_object()) return;
    std::vector<std::string_view> names;
    names.reserve(section.keys.size());
    for (const auto& key : section.keys)
        names.push_back(key.name);
    for (const auto& [name, unused] : value.data().items()) {
        const auto key = std::ranges::find(section.keys, name, &Key::name);
        if (key == section.keys.end()) {
            value.unknown_member(name, names);
        } else {
            key->read(value.member(name), config);
        }
    }
}

void refuse_at_top(const Value& document, const std::string& name, const Table& table) {
    // Besides the sections, `proxyListen` and `proxy.listen` are tried as paths: one spelling only, but a
    // helpful no.
    std::vector<std::string> paths;
    const auto add = [&](const std::string& prefix, std::string_view key) {
        paths.push_back(prefix + std::string(key));
    };
    for (const auto& key : table.top)
        add("", key.name);
    for (const auto& section : table.sections) {
        add("", section.name);
        for (const auto& key : section.keys)
            add(std::string(section.name) + '.', key.name);
    }
    const std::vector<std::string_view> candidates(paths.begin(), paths.end());
    document.unknown_member(name, candidates);
}

}  // namespace

void read_document(const Value& document, Config& config) {
    const auto table = make_table();
    if (!document.expect_object()) return;
    for (const auto& [name, unused] : document.data().items()) {
        const auto key = std::ranges::find(table.top, name, &Key::name);
        const auto section = std::ranges::find(table.sections, name, &Section::name);
        if (key != table.top.end()) {
            key->read(document.member(name), config);
        } else if (section != table.sections.end()) {
            read_section(document.member(name), *section, config);
        } else {
            refuse_at_top(document, name, table);
        }
    }
    // One agent's names that never answer must leave threads for the others.
    if (config.limits.dns_per_agent >= config.limits.dns_threads)
        document.problem("`limits.dnsPerAgent` must be less than `limits.dnsThreads`");
}

}  // namespace nomiqon::config_detail

namespace nomiqon {

std::vector<ConfigKey> config_keys() {
    const auto table = config_detail::make_table();
    const Config defaults;
    std::vector<ConfigKey> keys;
    const auto add = [&](const std::string& prefix, const config_detail::Key& key) {
        keys.push_back({.path = prefix + std::string(key.name),
                        .default_value = key.show ? key.show(defaults) : "",
                        .range = key.range});
    };
    for (const auto& key : table.top)
        add("", key);
    for (const auto& section : table.sections) {
        for (const auto& key : section.keys)
            add(std::string(section.name) + '.', key);
    }
    for (auto& path : config_detail::route_key_paths()) {
        keys.push_back({.path = std::move(path), .default_value = "", .range = ""});
    }
    return keys;
}

}  // namespace nomiqon
