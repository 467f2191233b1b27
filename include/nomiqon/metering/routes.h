#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/config.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/core/usdc.h"
#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// Which route a host takes, and what a call on it costs at most. Made from the configuration's routes,
/// followed by the built-in ones: well-known providers, intercepted and metered; well-known free hosts
/// (package registries, GitHub) at 0; other paid hosts that nobody routed (`price_unknown`: they never fall
/// through to a wildcard tunnel for cents, metering.md rule 2); and every other host as a tunnel at 0.001
/// USDC a connection. Immutable; shared between threads; replaced as a whole by a reload.
class RouteTable {
  public:
    /// `book`: the prices that the meters take; null: the one that comes with the gateway.
    explicit RouteTable(std::vector<Route> configured, std::shared_ptr<const PriceBook> book = nullptr);
    ~RouteTable();
    RouteTable(const RouteTable&) = delete;
    RouteTable& operator=(const RouteTable&) = delete;

    /// The first configured route that matches; else a built-in one. A configured wildcard (`*`, `*.suffix`)
    /// does not match a paid host of the built-in list: that one must be named exactly, or by a suffix of its
    /// own domain.
    [[nodiscard]] const Route& match(const HostName& host, std::uint16_t port) const;

    /// The price of one opaque tunnel (a CONNECT that is not port 80): the route's `perConnection`.
    /// `price_unknown` for an intercepted route, a paid host that nobody routed, and a route whose price says
    /// nothing of connections.
    [[nodiscard]] std::expected<Usdc, RefusalCode> price_of_tunnel(const HostName& host,
                                                                   std::uint16_t port) const;

    /// The price of one request in plain text: the route's `perRequest`, else its `perConnection`.
    /// `price_unknown` for a paid host, a route with a credential, a metered or intercepted route: none is
    /// ever reached in plain text.
    [[nodiscard]] std::expected<Usdc, RefusalCode> price_of_plain_request(const HostName& host,
                                                                          std::uint16_t port) const;

    /// Whether the route itself prices requests to `path` beside its meter: it lists the path, and
    /// `perRequest`.
    [[nodiscard]] static bool prices_path(const Route& route, std::string_view path);
    /// The flat price of a request inside an intercepted connection without a meter: `perRequest`, else
    /// `perConnection`.
    [[nodiscard]] static std::expected<Usdc, RefusalCode> price_of_inner_request(const Route& route);
    /// What an upgraded connection (WebSocket) costs, and until when it may last: only where the route allows
    /// it and bounds it (rule 4).
    [[nodiscard]] static std::expected<Usdc, RefusalCode> price_of_upgrade(const Route& route);
    [[nodiscard]] MeterTerms meter_terms(const Route& route) const;
    [[nodiscard]] const std::shared_ptr<const PriceBook>& book() const;

    /// How far the holds of an agent's open requests may stay below their bounds, for a request to this host
    /// to be held at what such ones have cost so far. Nothing: its bound is held.
    [[nodiscard]] std::optional<Usdc> overrun_limit(const HostName& host, std::uint16_t port) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Whether a host charges for its calls by the built-in list.
[[nodiscard]] bool is_known_paid_host(const HostName& host);

}  // namespace nomiqon::metering
