// Strict JSON: what is taken must survive being written and read again, and must mean the same to a lenient
// parser.

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "nomiqon/core/strict_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const auto with_comments = nomiqon::parse_strict_json(input, {.allow_comments = true});
    const auto document = nomiqon::parse_strict_json(input);
    if (!document) {
        if (document.error().message.empty()) std::abort();
        return 0;
    }
    if (!with_comments || *with_comments != *document) std::abort();
    if (nlohmann::json::parse(input) != *document) std::abort();
    const auto again = nomiqon::parse_strict_json(document->dump());
    if (!again || *again != *document) std::abort();
    return 0;
}
