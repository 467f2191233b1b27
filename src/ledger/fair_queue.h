#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace nomiqon::ledger {

/// A bounded queue in which agents take turns: each has a line of its own, and one that floods its line
/// delays and crowds out itself only. Not thread-safe.
template <class T>
class FairQueue {
  public:
    explicit FairQueue(std::size_t bound) : bound_(bound) {}

    /// Adds to the end of the agent's line. Where the queue is full, who has more than an equal share of it
    /// gives way: answers what had to leave, which may be `item` itself.
    std::optional<T> push(const std::string& agent, T item) {
        std::optional<T> displaced;
        if (size_ >= bound_) {
            const std::size_t share = bound_ / (turns_.size() + (lines_.contains(agent) ? 0 : 1));
            const auto own = lines_.find(agent);
            if (own != lines_.end() && own->second.items.size() >= share) return item;
            displaced = take_newest_beyond(share);
            if (!displaced) return item;
        }
        auto [line, is_new] = lines_.try_emplace(agent);
        if (is_new) line->second.turn = turns_.insert(turns_.end(), agent);
        line->second.items.push_back(std::move(item));
        ++size_;
        return displaced;
    }

    /// The oldest of the agent whose turn it is.
    std::optional<T> pop() {
        if (turns_.empty()) return std::nullopt;
        const auto line = lines_.find(turns_.front());
        std::optional<T> item{std::move(line->second.items.front())};
        line->second.items.pop_front();
        --size_;
        if (line->second.items.empty()) {
            remove(line);
        } else {
            turns_.splice(turns_.end(), turns_, turns_.begin());
        }
        return item;
    }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }

  private:
    struct Line {
        std::deque<T> items;
        std::list<std::string>::iterator turn;
    };
    using Lines = std::unordered_map<std::string, Line>;

    std::optional<T> take_newest_beyond(std::size_t share) {
        for (const std::string& agent : turns_) {
            const auto line = lines_.find(agent);
            if (line->second.items.size() <= share) continue;
            std::optional<T> item{std::move(line->second.items.back())};
            line->second.items.pop_back();
            --size_;
            if (line->second.items.empty()) remove(line);
            return item;
        }
        return std::nullopt;
    }

    void remove(typename Lines::iterator line) {
        turns_.erase(line->second.turn);
        lines_.erase(line);
    }

    const std::size_t bound_;
    std::size_t size_ = 0;
    Lines lines_;
    std::list<std::string> turns_;  // agents that have something waiting, in the order of their turns
};

}  // namespace nomiqon::ledger
