#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/host.h"
#include "nomiqon/core/ip_address.h"
#include "nomiqon/core/log.h"
#include "nomiqon/core/secret.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon {

/// An address to listen on: an IP literal and a port; port 0 lets the system choose.
struct ListenAddress {
    IpAddress address;
    std::uint16_t port = 0;
    [[nodiscard]] std::string to_string() const;
    static std::optional<ListenAddress> parse(std::string_view text);  ///< `127.0.0.1:3128`, `[::1]:3128`
};

enum class RouteMode : std::uint8_t { tunnel, intercept };

/// What a request on a route costs when no meter says so.
struct RoutePrice {
    std::optional<Usdc> per_request{};
    std::optional<Usdc> per_connection{};
    bool free = false;                         ///< a price of 0 counts only with this
    std::vector<std::string> paths{};          ///< exact paths that `per_request` covers beside a meter
    std::optional<Duration> max_time{};        ///< `maxSeconds` of a priced upgrade
    std::optional<std::uint64_t> max_bytes{};  ///< `maxBytes` of a priced upgrade
};

/// A provider's credential, which the gateway puts in and the agent never holds.
struct RouteCredential {
    std::string header{};                                 ///< or
    std::string query{};                                  ///< the name of a query parameter
    Secret value{};                                       ///< with its references already replaced
    std::map<std::string, Secret, std::less<>> agents{};  ///< by their ids, those that have one of their own

    [[nodiscard]] const Secret& value_for(std::string_view agent_id) const {
        const auto own = agents.find(agent_id);
        return own == agents.end() ? value : own->second;
    }
};

/// What bounds a tool that the provider itself runs (metering.md rule 12).
struct RouteTool {
    Usdc fee{};                         ///< of one call
    std::uint64_t max_calls = 0;        ///< in one request
    std::uint64_t tokens_per_call = 0;  ///< that one call's results add to what the model reads
};

/// What is held for a request until its cost is known.
enum class ReserveMode : std::uint8_t {
    bound,    ///< the most that it can cost
    typical,  ///< what such requests have cost, within the route's `overrun_limit`
};

struct Route {
    std::string host{};  ///< a HostName, `*.suffix` or `*`
    std::optional<std::uint16_t> port{};
    RouteMode mode = RouteMode::tunnel;
    std::string meter{};     ///< empty: none
    std::string provider{};  ///< of the price book; empty: the meter's own
    std::optional<RoutePrice> price{};
    std::optional<RouteCredential> credential{};
    bool raw = false;      ///< a tunnel that need not start with a ClientHello
    bool upgrade = false;  ///< WebSocket and other upgrades are allowed, as a priced tunnel
    ReserveMode reserve = ReserveMode::bound;
    Usdc overrun_limit{};  ///< of `typical`: how far all that an agent holds may stay below its bounds
    std::map<std::string, std::string> deployments{};  ///< Azure: deployment → model
    std::map<std::string, RouteTool> tools{};          ///< by the provider's names: `web_search`
    std::uint64_t max_read_units = 0;                  ///< of one read of Pinecone; 0: unknown
    bool deferred = false;  ///< what spends later may be asked for, and is charged its bound at once
};

struct Config {
    std::filesystem::path data_dir;
    ListenAddress proxy_listen{.address = IpAddress::v4({127, 0, 0, 1}), .port = 3128};
    ListenAddress admin_listen{.address = IpAddress::v4({127, 0, 0, 1}), .port = 3129};
    unsigned threads = 0;       ///< of the proxy; 0: one a core
    bool cost_comment = false;  ///< a metered stream ends with an SSE comment that tells its cost

    struct Database {
        std::string url;          ///< empty: the private PostgreSQL
        std::string runtime_url;  ///< the second role; empty: made by the gateway where it can
        unsigned connections = 2;
        Duration timeout{3000};    ///< for one answer, connecting included
        std::size_t queue = 4096;  ///< requests waiting for the ledger; beyond: `overloaded`
        std::size_t batch = 128;   ///< requests in one transaction
    } database;

    struct Token {
        std::string audience = "nomiqon";
    } token;
    struct Wallet {
        std::string backend = "ledger";
        std::string mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";  ///< USDC on Solana's mainnet
    } wallet;
    struct Policy {
        bool require_allowlist = false;
    } policy;
    struct Reservation {
        Duration wait{500};
        Duration lease{60'000};
    } reservation;

    struct Upstream {
        std::vector<IpNetwork> allow_private;
        std::map<std::string, std::pair<IpAddress, std::uint16_t>>
            resolve;  ///< `host:port` → where to go instead
        std::filesystem::path ca_file;
        Duration connect_timeout{5000};
        Duration resolve_timeout{5000};
        Duration response_timeout{120'000};  ///< from the last byte of a plain request to the answer's head
        Duration idle_timeout{300'000};      ///< a tunnel or an answer in which nothing moves
    } upstream;

    struct Tls {
        std::vector<std::string> name_constraints;  ///< DNS suffixes that a CA made here is limited to
        std::size_t leaves = 4096;                  ///< host names whose certificates are kept
        std::size_t mint_queue = 1024;         ///< requests waiting for a certificate; beyond: `overloaded`
        std::size_t upstream_sessions = 1024;  ///< upstream hosts and ports whose TLS sessions are kept
    } tls;

    struct Prices {
        std::filesystem::path models;
    } prices;
    std::vector<Route> routes;  ///< as written; the built-in ones follow them (metering/)

    struct Limits {
        std::size_t header_bytes = 32 * 1024;
        std::size_t header_count = 100;
        std::uint64_t body_bytes = 64ULL * 1024 * 1024;
        std::size_t buffered_bytes =
            512ULL * 1024 * 1024;                       ///< of all bodies that are held whole to be priced
        std::size_t answer_bytes = 4ULL * 1024 * 1024;  ///< of an answer that is held until its cost is known
        std::size_t drains = 256;     ///< answers read on for their cost after their client left
        Duration drain_time{60'000};  ///< for one of them
        std::uint64_t drain_bytes = 16ULL * 1024 * 1024;
        std::size_t connections = 10'000;
        Duration header_timeout{
            10'000};  ///< for a connection's first byte, and from a request's to its head's end
        Duration idle_timeout{60'000};  ///< a kept connection without a request
        Duration client_hello_timeout{10'000};
        std::size_t admin_body_bytes = 1024 * 1024;
        std::size_t admin_connections = 256;
        std::size_t refusals = 10'000;  ///< refusals waiting to be written; beyond: counted only
        std::size_t dns_entries = 4096;
        Duration dns_ttl{5000};
        unsigned dns_threads = 16;
        unsigned dns_per_agent = 4;  ///< look-ups of one agent at once; fewer than the threads
    } limits;

    struct Shutdown {
        Duration drain{10'000};
    } shutdown;
    LogOptions log;

    std::vector<std::string> warnings;  ///< said at start, such as a credential written out in the file
};

struct ConfigProblem {
    std::string place;  ///< `file:line:column`, with a JSON pointer when it is a value's; or an option's name
    std::string message;  ///< what is wrong and what would be right
};

/// One key that the loader knows, for the documentation and its test.
struct ConfigKey {
    std::string path;           ///< `limits.headerBytes`, `routes[].price.perRequest`
    std::string default_value;  ///< as JSON would write it; empty: none, or it depends on the machine
    std::string range;          ///< `1–64`; empty: not a number and not a duration
};
[[nodiscard]] std::vector<ConfigKey> config_keys();

/// What the command line and the environment say; goes before the file.
struct ConfigOverrides {
    std::optional<std::string> data_dir{}, proxy_listen{}, admin_listen{}, database_url{}, runtime_url{};
};

/// Reads `file` (when given), the overrides, and the defaults. Every mistake is reported, not only the first
/// one; nothing is created or changed. Relative paths in the file are relative to it.
[[nodiscard]] std::expected<Config, std::vector<ConfigProblem>> load_config(
    const std::optional<std::filesystem::path>& file, const ConfigOverrides& overrides);

}  // namespace nomiqon
