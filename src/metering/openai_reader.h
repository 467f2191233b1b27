#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "nomiqon/core/usdc.h"
#include "openai_row.h"
#include "openai_usage.h"
#include "usage_reader.h"

namespace nomiqon::metering {

/// What the request of an answer fixed for reading it.
struct OpenAiAnswer {
    const OpenAiRow* row = nullptr;
    bool hides_usage = false;    ///< the gateway asked for the chunk that has it, the client didn't
    bool ignores_model = false;  ///< the operator's word of which model it is goes before the answer's
    OpenAiCounters::Writes writes = OpenAiCounters::Writes::text;
    std::map<std::string, std::int64_t> items{};  ///< that each answer costs: a search model's search
    std::map<std::string, Usdc> route_fees{};     ///< of tools
};

/// Chat completions, legacy completions and embeddings: documents, and streams of chunks.
[[nodiscard]] std::unique_ptr<UsageReader> make_completions_reader(OpenAiAnswer answer);
/// The Responses API: documents, and streams of named events.
[[nodiscard]] std::unique_ptr<UsageReader> make_responses_reader(OpenAiAnswer answer);
/// Pictures, speech and transcriptions: documents, and streams whose last event has the usage.
[[nodiscard]] std::unique_ptr<UsageReader> make_media_reader(OpenAiAnswer answer);

}  // namespace nomiqon::metering
