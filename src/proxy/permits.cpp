#include "permits.h"

#include <algorithm>

namespace nomiqon::proxy {

std::optional<DrainPermit> DrainPermit::acquire(Drains& drains) {
    if (drains.open.fetch_add(1, std::memory_order_relaxed) < drains.limits.count) return DrainPermit(drains);
    drains.open.fetch_sub(1, std::memory_order_relaxed);
    return std::nullopt;
}
DrainPermit::DrainPermit(Drains& drains)
    : drains_(&drains),
      until_(std::chrono::steady_clock::now() + drains.limits.time),
      bytes_left_(drains.limits.bytes) {}
DrainPermit::DrainPermit(DrainPermit&& other) noexcept
    : drains_(std::exchange(other.drains_, nullptr)), until_(other.until_), bytes_left_(other.bytes_left_) {}
DrainPermit::~DrainPermit() {
    if (drains_ != nullptr) drains_->open.fetch_sub(1, std::memory_order_relaxed);
}
Duration DrainPermit::time_left() const {
    const auto left = std::chrono::ceil<Duration>(until_ - std::chrono::steady_clock::now());
    return std::max(left, Duration::zero());
}
bool DrainPermit::spend(std::size_t bytes) {
    if (bytes > bytes_left_) return false;
    bytes_left_ -= bytes;
    return true;
}

bool BufferPermit::grow_to(std::size_t bytes) {
    if (bytes <= held_) return true;
    if (!room_.take(agent_, bytes - held_)) return false;
    held_ = bytes;
    return true;
}

bool BodyRoom::take(const AgentId& agent, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = taken_.find(agent.str());
    const std::size_t taken = found == taken_.end() ? 0 : found->second;
    if (bytes > free_ || taken > free_ - bytes) return false;
    free_ -= bytes;
    taken_[agent.str()] = taken + bytes;
    return true;
}

void BodyRoom::give_back(const AgentId& agent, std::size_t bytes) {
    if (bytes == 0) return;
    const std::lock_guard lock(mutex_);
    free_ += bytes;
    const auto found = taken_.find(agent.str());
    found->second -= bytes;
    if (found->second == 0) taken_.erase(found);
}

}  // namespace nomiqon::proxy
