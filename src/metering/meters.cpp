#include <array>

#include "anthropic_meter.h"
#include "gemini_meter.h"
#include "nomiqon/metering/meter.h"
#include "openai_meter.h"
#include "per_call_meters.h"
#include "pinecone_meter.h"
#include "tavily_meter.h"

namespace nomiqon::metering {
namespace {

/// Every meter but those of OpenAI's kind, which have a table of their own (openai_row.cpp).
constexpr auto meters = std::to_array<const Meter& (*)()>({
    anthropic_meter,
    gemini_meter,
    tavily_meter,
    brave_meter,
    bing_meter,
    serpapi_meter,
    pinecone_meter,
});

}  // namespace

const Meter* find_meter(std::string_view name) {
    if (const Meter* meter = find_openai_meter(name)) return meter;
    for (const auto get : meters) {
        if (get().name() == name) return &get();
    }
    return nullptr;
}

}  // namespace nomiqon::metering
