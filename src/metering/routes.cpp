#include "nomiqon/metering/routes.h"

#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "known_hosts.h"
#include "nomiqon/core/host_pattern.h"

namespace nomiqon::metering {
namespace {

/// Known by the gateway without a word of configuration: what is called through them is metered.
struct Provider {
    std::string_view host, meter;
};
constexpr auto known_providers = std::to_array<Provider>({
    {"api.openai.com", "openai"},
    {"*.openai.azure.com", "azure"},
    {"api.anthropic.com", "anthropic"},
    {"generativelanguage.googleapis.com", "gemini"},
    {"api.mistral.ai", "mistral"},
    {"api.groq.com", "groq"},
    {"api.deepseek.com", "deepseek"},
    {"api.together.xyz", "together"},
    {"api.together.ai", "together"},
    {"openrouter.ai", "openrouter"},
    {"api.tavily.com", "tavily"},
    {"api.search.brave.com", "brave"},
    {"api.bing.microsoft.com", "bing"},
    {"serpapi.com", "serpapi"},
    {"api.pinecone.io", "pinecone"},
    {"*.pinecone.io", "pinecone"},
});

std::vector<Route> well_known_providers() {
    std::vector<Route> routes;
    for (const Provider& provider : known_providers) {
        Route route{.host = std::string(provider.host)};
        route.mode = RouteMode::intercept;
        route.meter = provider.meter;
        routes.push_back(std::move(route));
    }
    return routes;
}

constexpr Usdc tunnel_price = Usdc::from_nanos(1'000'000);  // 0.001 USDC

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};
/// Places in the list of routes, ascending.
using Places = std::vector<std::size_t>;
using Index = std::unordered_map<std::string, Places, TextHash, std::equal_to<>>;

std::optional<Usdc> connection_price(const RoutePrice& price) {
    if (price.per_connection) return price.per_connection;
    return price.free ? std::optional(Usdc{}) : std::nullopt;
}

}  // namespace

struct RouteTable::Impl {
    std::shared_ptr<const PriceBook> book;
    std::vector<Route> routes;
    std::vector<HostPattern> patterns;  ///< of `routes`, one each
    Index exact, below;
    Places any;
    std::vector<Route> providers = well_known_providers();
    // Without a price of its own a paid host's price is unknown, see price_of_tunnel.
    Route paid{.host = "*", .price = RoutePrice{}};
    Route free{.host = "*", .price = RoutePrice{.free = true}};
    Route other{.host = "*", .price = RoutePrice{.per_connection = tunnel_price}};

    void add(Route route);
    [[nodiscard]] const Route* find_provider(const HostName& host, std::uint16_t port) const;
    [[nodiscard]] const Route* find(const HostName& host, std::uint16_t port, const PaidHost* paid_row) const;
};

void RouteTable::Impl::add(Route route) {
    auto pattern = HostPattern::parse(route.host, 1);
    if (!pattern) throw std::invalid_argument("a route's host is no pattern: " + pattern.error());
    if (route.port) pattern->port = route.port;
    const auto place = routes.size();
    switch (pattern->kind) {
        case HostPattern::Kind::exact:
            exact[pattern->host].push_back(place);
            break;
        case HostPattern::Kind::below:
            below[pattern->host].push_back(place);
            break;
        case HostPattern::Kind::any:
            any.push_back(place);
            break;
    }
    routes.push_back(std::move(route));
    patterns.push_back(*std::move(pattern));
}

const Route* RouteTable::Impl::find(const HostName& host, std::uint16_t port,
                                    const PaidHost* paid_row) const {
    std::size_t best = routes.size();
    const auto consider = [&](const Places& places) {
        const auto fits = [&](std::size_t place) {
            const auto& pattern = patterns[place];
            return (!pattern.port || *pattern.port == port) &&
                   (paid_row == nullptr || names_paid_host(pattern, *paid_row));
        };
        const auto found = std::ranges::find_if(places, fits);
        if (found != places.end()) best = std::min(best, *found);
    };
    const auto look_up = [&](const Index& index, std::string_view name) {
        if (const auto found = index.find(name); found != index.end()) consider(found->second);
    };

    std::string_view name = host.str();
    look_up(exact, name);
    if (!host.is_ip_literal()) {
        for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
            name.remove_prefix(dot + 1);
            look_up(below, name);
        }
    }
    consider(any);
    return best == routes.size() ? nullptr : &routes[best];
}

/// Their hosts stand in the list by exact name, or below a name of their own; few enough to look through.
const Route* RouteTable::Impl::find_provider(const HostName& host, std::uint16_t port) const {
    if (port != default_port(Scheme::https)) return nullptr;
    const auto found = std::ranges::find_if(providers, [&](const Route& route) {
        const std::string_view pattern = route.host;
        return pattern.starts_with("*.") ? is_below(host.str(), pattern.substr(2)) : host.str() == pattern;
    });
    return found == providers.end() ? nullptr : &*found;
}

RouteTable::RouteTable(std::vector<Route> configured, std::shared_ptr<const PriceBook> book)
    : impl_(std::make_unique<Impl>()) {
    impl_->book = book ? std::move(book) : PriceBook::built_in();
    impl_->routes.reserve(configured.size());
    for (auto& route : configured)
        impl_->add(std::move(route));
}

RouteTable::~RouteTable() = default;

const Route& RouteTable::match(const HostName& host, std::uint16_t port) const {
    const auto* paid_row = find_paid_host(host);
    if (const auto* route = impl_->find(host, port, paid_row)) return *route;
    if (paid_row != nullptr) {
        const auto* provider = impl_->find_provider(host, port);
        return provider != nullptr ? *provider : impl_->paid;
    }
    return is_known_free_host(host) ? impl_->free : impl_->other;
}

std::expected<Usdc, RefusalCode> RouteTable::price_of_tunnel(const HostName& host, std::uint16_t port) const {
    const auto& route = match(host, port);
    if (route.mode == RouteMode::intercept) return std::unexpected(RefusalCode::price_unknown);
    if (!route.price) {
        // Even a named paid host must have its price said: silence is no opinion that a tunnel's cents are
        // enough.
        if (is_known_paid_host(host)) return std::unexpected(RefusalCode::price_unknown);
        return tunnel_price;
    }
    const auto price = connection_price(*route.price);
    if (!price) return std::unexpected(RefusalCode::price_unknown);
    return *price;
}

std::expected<Usdc, RefusalCode> RouteTable::price_of_plain_request(const HostName& host,
                                                                    std::uint16_t port) const {
    const auto& route = match(host, port);
    const bool only_encrypted = route.mode == RouteMode::intercept || !route.meter.empty() ||
                                route.credential || is_known_paid_host(host);
    if (only_encrypted) return std::unexpected(RefusalCode::price_unknown);
    if (!route.price) return tunnel_price;
    if (route.price->per_request) return *route.price->per_request;
    const auto price = connection_price(*route.price);
    if (!price) return std::unexpected(RefusalCode::price_unknown);
    return *price;
}

bool RouteTable::prices_path(const Route& route, std::string_view path) {
    return route.price && route.price->per_request &&
           std::ranges::find(route.price->paths, path) != route.price->paths.end();
}

std::expected<Usdc, RefusalCode> RouteTable::price_of_inner_request(const Route& route) {
    if (!route.price) return std::unexpected(RefusalCode::price_unknown);
    if (route.price->per_request) return *route.price->per_request;
    const auto price = connection_price(*route.price);
    if (!price) return std::unexpected(RefusalCode::price_unknown);
    return *price;
}

std::expected<Usdc, RefusalCode> RouteTable::price_of_upgrade(const Route& route) {
    if (!route.upgrade || !route.price || !route.price->max_time || !route.price->max_bytes) {
        return std::unexpected(RefusalCode::price_unknown);
    }
    const auto price = connection_price(*route.price);
    if (!price) return std::unexpected(RefusalCode::price_unknown);
    return *price;
}

MeterTerms RouteTable::meter_terms(const Route& route) const {
    MeterTerms terms{.book = impl_->book, .provider = route.provider, .deployments = route.deployments};
    for (const auto& [name, tool] : route.tools) {
        terms.tools.emplace(name,
                            ToolTerms{.fee = tool.fee,
                                      .max_calls = static_cast<std::int64_t>(tool.max_calls),
                                      .tokens_per_call = static_cast<std::int64_t>(tool.tokens_per_call)});
    }
    terms.max_read_units = static_cast<std::int64_t>(route.max_read_units);
    terms.allow_deferred = route.deferred;
    return terms;
}

const std::shared_ptr<const PriceBook>& RouteTable::book() const {
    return impl_->book;
}

std::optional<Usdc> RouteTable::overrun_limit(const HostName& host, std::uint16_t port) const {
    const auto& route = match(host, port);
    if (route.reserve == ReserveMode::bound || route.overrun_limit.is_zero()) return std::nullopt;
    return route.overrun_limit;
}

bool is_known_paid_host(const HostName& host) {
    return find_paid_host(host) != nullptr;
}

}  // namespace nomiqon::metering
