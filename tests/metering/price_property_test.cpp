#include <algorithm>
#include <array>
#include <random>

#include "price_world.h"

// Random entries and uses against arithmetic of the test's own: whole numbers of 1e-12 USD.

namespace nomiqon::metering::testing {
namespace {

__extension__ using Integer = __int128;

struct KeyedCounter {
    const char* key;
    Counter counter;
};
constexpr std::array<KeyedCounter, 14> keyed{{
    {"input_cost_per_token", Counter::input},
    {"input_cost_per_audio_token", Counter::input_audio},
    {"input_cost_per_image_token", Counter::input_image},
    {"input_cost_per_video_token", Counter::input_video},
    {"cache_read_input_token_cost", Counter::cache_read},
    {"cache_read_input_audio_token_cost", Counter::cache_read_audio},
    {"cache_read_input_image_token_cost", Counter::cache_read_image},
    {"cache_creation_input_token_cost", Counter::cache_write},
    {"cache_creation_input_token_cost_above_1hr", Counter::cache_write_1h},
    {"cache_creation_input_token_cost_above_12hr", Counter::cache_write_12h},
    {"output_cost_per_token", Counter::output},
    {"output_cost_per_reasoning_token", Counter::output_reasoning},
    {"output_cost_per_audio_token", Counter::output_audio},
    {"output_cost_per_image_token", Counter::output_image},
}};

constexpr std::int64_t threshold = 200'000;
constexpr int pico_of_nano = 1000;

/// A model whose every rate is known to the test, in 1e-12 USD.
struct Made {
    std::array<std::int64_t, counters> low{}, high{};
    std::int64_t search = 0;
    int factor_hundredths = 100;
    std::shared_ptr<const PriceBook> book;
};

class PriceProperty : public ::testing::Test {
  protected:
    std::mt19937_64 random{20260524};  // NOLINT: the same every time

    std::int64_t below(std::int64_t limit) {
        return std::uniform_int_distribution<std::int64_t>{0, limit - 1}(random);
    }

    Made make() {
        Made made;
        std::string members;
        for (const auto& [key, counter] : keyed) {
            const auto i = static_cast<std::size_t>(counter);
            made.low[i] = 1 + below(200'000'000);
            made.high[i] = made.low[i] + below(100'000'000);
            members += '"' + std::string{key} + "\": " + std::to_string(made.low[i]) + "e-12, \"" + key +
                       "_above_200k_tokens\": " + std::to_string(made.high[i]) + "e-12, ";
        }
        made.search = 1 + below(100'000'000'000);
        made.factor_hundredths = 100 + static_cast<int>(below(500));
        members += R"("input_cost_per_query": )" + std::to_string(made.search) +
                   R"(e-12, "provider_specific_entry": {"us": )" + std::to_string(made.factor_hundredths) +
                   "e-2}";
        made.book = book_with(members);
        return made;
    }

    Usage use() {
        Usage usage;
        const std::int64_t scale = below(2) == 0 ? 1000 : 100'000;
        for (const auto& [key, counter] : keyed)
            if (below(3) > 0) set_count(usage, counter, below(scale));
        if (below(2) == 0) usage.items["queries"] = below(20);
        return usage;
    }

    /// Rounded up to 1e-9 once.
    static std::int64_t exact_nanos(const Made& made, const Usage& usage, bool us) {
        const auto& rates = usage.tokens_read() > threshold ? made.high : made.low;
        Integer sum = 0;
        for (const auto& [key, counter] : keyed)
            sum += Integer{count_of(usage, counter)} * rates[static_cast<std::size_t>(counter)];
        sum *= us ? made.factor_hundredths : 100;
        if (const auto found = usage.items.find("queries"); found != usage.items.end())
            sum += Integer{found->second} * made.search * 100;
        const Integer unit = Integer{pico_of_nano} * 100;
        return static_cast<std::int64_t>((sum + unit - 1) / unit);
    }
};

TEST_F(PriceProperty, ThePriceIsTheExactSumRoundedUp) {
    for (int round = 0; round < 200; ++round) {
        const auto made = make();
        for (int i = 0; i < 20; ++i) {
            const auto usage = use();
            for (const bool us : {false, true}) {
                const auto cost = price(*made.book->entry("m"), usage, {.region = us ? "us" : ""});
                ASSERT_TRUE(cost) << cost.error();
                ASSERT_EQ(cost->nanos(), exact_nanos(made, usage, us)) << made.book->document();
            }
        }
    }
}

TEST_F(PriceProperty, MoreOfAnythingNeverCostsLess) {
    for (int round = 0; round < 100; ++round) {
        const auto made = make();
        const auto& model = *made.book->entry("m");
        for (int i = 0; i < 10; ++i) {
            const auto usage = use();
            const auto before = price(model, usage, {});
            for (const auto& [key, counter] : keyed) {
                auto more = usage;
                set_count(more, counter, count_of(usage, counter) + 1 + below(300'000));
                ASSERT_LE(*before, price(model, more, {}).value()) << key << made.book->document();
            }
        }
    }
}

/// Entries with some of the rates in some of the tiers and steps: nothing that is filled in may make more
/// cost less, and none of the dearer tiers may cost less than the default one.
TEST_F(PriceProperty, HoldsForRatesThatAreFilledIn) {
    constexpr std::array<const char*, 6> suffixes{
        "_above_128k_tokens", "_above_200k_tokens",          "_flex",
        "_priority",          "_priority_above_200k_tokens", "_above_128k_tokens_batches"};
    for (int round = 0; round < 400; ++round) {
        std::string members =
            R"("supports_vision": true, "input_cost_per_token": 3e-06, "output_cost_per_token": 9e-06,
            "input_cost_per_token_priority": 6e-06, "output_cost_per_token_priority": 18e-06)";
        for (const auto& [key, counter] : keyed) {
            if (counter != Counter::input && counter != Counter::output && below(2) == 0)
                members += ", \"" + std::string{key} + "\": " + std::to_string(1 + below(9'000'000)) + "e-12";
            for (const auto* const suffix : suffixes) {
                const bool stated = (counter == Counter::input || counter == Counter::output) &&
                                    std::string_view{suffix} == "_priority";
                if (!stated && below(4) == 0)
                    members += ", \"" + std::string{key} + suffix +
                               "\": " + std::to_string(1 + below(90'000'000)) + "e-12";
            }
        }
        const auto book = book_with(members);
        const auto* const entry = book->entry("m");
        ASSERT_NE(entry, nullptr) << problem_with(members);
        for (int i = 0; i < 5; ++i) {
            const auto usage = use();
            for (const auto& tier : entry->tiers()) {
                const Terms terms{.service_tier = tier};
                const auto before = price(*entry, usage, terms);
                if (!before) continue;
                for (const auto& [key, counter] : keyed) {
                    auto more = usage;
                    set_count(more, counter, count_of(usage, counter) + 1 + below(300'000));
                    const auto after = price(*entry, more, terms);
                    if (after) {
                        ASSERT_LE(*before, *after) << tier << ' ' << key << '\n' << members;
                    }
                }
                ASSERT_LE(*before, bound_price(*entry, usage, terms).value());
            }
        }
    }
}

}  // namespace
}  // namespace nomiqon::metering::testing
