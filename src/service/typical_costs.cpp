#include "typical_costs.h"

#include <algorithm>

namespace nomiqon::service {
namespace {

// Twice as wide as an amount of nanos: their product with a share never overflows.
__extension__ using Wide = unsigned __int128;

constexpr std::int64_t whole = 1'000'000;
constexpr std::size_t percent = 95;

/// factor · share / divisor, rounded up. Of amounts that aren't negative, and with a result that fits.
std::int64_t scaled_up(std::int64_t factor, std::int64_t share, std::int64_t divisor) {
    const auto product = static_cast<Wide>(factor) * static_cast<Wide>(share);
    const auto wide = static_cast<Wide>(divisor);
    return static_cast<std::int64_t>((product + wide - 1) / wide);
}

}  // namespace

// An agent's id and a host name contain no blanks, so nothing in a model's name can make two kinds one.
std::string TypicalCosts::kind(const AgentId& agent, std::string_view host, std::string_view model) {
    std::string name = agent.str();
    name.append(1, ' ').append(host).append(1, ' ').append(model);
    return name;
}

std::optional<Usdc> TypicalCosts::typical(const std::string& kind, Usdc bound) {
    if (bound <= Usdc{}) return std::nullopt;
    std::array<std::uint32_t, window> shares{};
    std::size_t count = 0;
    {
        const std::scoped_lock lock{mutex_};
        const Kind* known = find(kind);
        if (known == nullptr || known->count < lessons) return std::nullopt;
        shares = known->shares;
        count = known->count;
    }
    const std::size_t rank = (count * percent + 99) / 100;
    const auto nth = shares.begin() + static_cast<std::ptrdiff_t>(rank - 1);
    std::nth_element(shares.begin(), nth, shares.begin() + static_cast<std::ptrdiff_t>(count));
    return Usdc::from_nanos(scaled_up(bound.nanos(), *nth, whole));
}

void TypicalCosts::learn(const std::string& kind, Usdc bound, Usdc cost) {
    if (bound <= Usdc{} || cost <= Usdc{}) return;
    // What was dearer than its bound asks for all of the next one: the ledger never holds more than that.
    const auto share =
        static_cast<std::uint32_t>(scaled_up(std::min(cost, bound).nanos(), whole, bound.nanos()));
    const std::scoped_lock lock{mutex_};
    Kind& known = find_or_add(kind);
    known.shares[known.next] = share;
    known.next = (known.next + 1) % window;
    known.count = std::min(known.count + 1, window);
}

TypicalCosts::Kind* TypicalCosts::find(const std::string& kind) {
    const auto place = places_.find(kind);
    if (place == places_.end()) return nullptr;
    kinds_.splice(kinds_.begin(), kinds_, place->second);
    return &kinds_.front();
}

TypicalCosts::Kind& TypicalCosts::find_or_add(const std::string& kind) {
    if (Kind* known = find(kind)) return *known;
    if (kinds_.size() >= most_) {
        places_.erase(kinds_.back().name);
        kinds_.pop_back();
    }
    Kinds fresh;
    fresh.push_back({.name = kind});
    places_.emplace(fresh.front().name, fresh.begin());
    kinds_.splice(kinds_.begin(), fresh);
    return kinds_.front();
}

}  // namespace nomiqon::service
