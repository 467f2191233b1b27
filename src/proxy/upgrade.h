#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>

#include "head_lines.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"
#include "session.h"

namespace nomiqon::proxy {

/// What an upgraded connection costs, and may use for that: both directions together.
struct UpgradeBounds {
    Duration time{};
    std::uint64_t bytes = 0;
    Usdc price{};
};

/// The one protocol that is changed to. Another one (`h2c`) would bring requests that nobody judges.
[[nodiscard]] bool is_websocket(const HeaderFields& headers);

/// Moves bytes both ways between the session's client and its upstream, unread, until both sides have ended
/// or a bound is reached. `to_client`: what goes out first, the head of the 101 included, in one record.
boost::asio::awaitable<void> relay_upgraded(Session& session, UpgradeBounds bounds, std::string to_client);

}  // namespace nomiqon::proxy
