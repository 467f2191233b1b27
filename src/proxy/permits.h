#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "nomiqon/core/ids.h"
#include "nomiqon/core/time.h"

// What all workers' connections share of the gateway's means, a part of it given back by its owner's end.

namespace nomiqon::proxy {

/// The room for bodies that must be held whole (`limits.bufferedBytes`). An agent may take as much as it
/// leaves to all others, so that none can take all of it. Thread-safe.
class BodyRoom {
  public:
    explicit BodyRoom(std::size_t bytes) : free_(bytes) {}
    [[nodiscard]] bool take(const AgentId& agent, std::size_t bytes);
    void give_back(const AgentId& agent, std::size_t bytes);

  private:
    std::mutex mutex_;
    std::size_t free_;
    std::unordered_map<std::string, std::size_t> taken_;
};

/// One body's part of the room.
class BufferPermit {
  public:
    BufferPermit(BodyRoom& room, AgentId agent) : room_(room), agent_(std::move(agent)) {}
    BufferPermit(const BufferPermit&) = delete;
    BufferPermit& operator=(const BufferPermit&) = delete;
    ~BufferPermit() { room_.give_back(agent_, held_); }

    /// Room for `bytes` altogether. False: there is none.
    [[nodiscard]] bool grow_to(std::size_t bytes);

  private:
    BodyRoom& room_;
    AgentId agent_;
    std::size_t held_ = 0;
};

/// How many answers are read on, for their meters, after their clients left (`limits.drains`), and what each
/// may take (`drainTime`, `drainBytes`). Thread-safe.
struct Drains {
    struct Limits {
        std::size_t count = 0;
        Duration time{};
        std::uint64_t bytes = 0;
    };
    explicit Drains(Limits the_limits) : limits(the_limits) {}
    const Limits limits;
    std::atomic<std::size_t> open = 0;
};

/// Leave to read one answer on.
class DrainPermit {
  public:
    static std::optional<DrainPermit> acquire(Drains& drains);
    DrainPermit(DrainPermit&& other) noexcept;
    DrainPermit& operator=(DrainPermit&&) = delete;
    ~DrainPermit();

    [[nodiscard]] Duration time_left() const;
    /// False: more bytes came than it allows.
    [[nodiscard]] bool spend(std::size_t bytes);

  private:
    explicit DrainPermit(Drains& drains);
    Drains* drains_;  // null once moved from
    std::chrono::steady_clock::time_point until_;
    std::uint64_t bytes_left_;
};

}  // namespace nomiqon::proxy
