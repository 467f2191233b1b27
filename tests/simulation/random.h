#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/ids.h"

namespace nomiqon::simulation {

/// All chance of a run. The same seed gives the same run on every machine: std::mt19937_64 is specified to
/// the bit, the standard's distributions are not.
class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    /// 0 … bound − 1; of 0, 0.
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; }
    std::int64_t between(std::int64_t least, std::int64_t most) {
        return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least) + 1));
    }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    bool percent(std::uint64_t chance) { return below(100) < chance; }
    template <class T>
    T& pick(std::span<T> from) {
        return from[below(from.size())];
    }
    template <class T>
    const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }

    /// An id like those that `Id::generate` makes, but of this run's chance alone.
    template <class Kind>
    Kind id() {
        constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
        static const std::string prefix = prefix_of<Kind>();
        std::string text = prefix + '0';
        while (text.size() < prefix.size() + 26)
            text += digits[below(digits.size())];
        return *Kind::parse(text);
    }

  private:
    template <class Kind>
    static std::string prefix_of() {
        const std::string any = Kind::generate().str();
        return any.substr(0, any.find('_') + 1);
    }
    std::mt19937_64 engine_;
};

}  // namespace nomiqon::simulation
