// A chunked body gives the same data, end and trailers in any pieces, stays within its limits, and reads back
// after it was written anew.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "body_framing.h"

namespace {

using namespace nomiqon::proxy;

constexpr BodyLimits limits{
    .bytes = 4096, .chunk_line_bytes = 64, .extension_bytes = 256, .trailers = {.bytes = 512, .count = 8}};
// What is written anew has a space behind each colon, which the original need not have had.
constexpr BodyLimits written_limits{.bytes = 4096, .trailers = {.bytes = 1024, .count = 8}};

void require(bool holds) {
    if (!holds) std::abort();
}

struct Read {
    bool ok = true, complete = false;
    std::size_t consumed = 0;
    std::string data;
    HeaderFields trailers;
};

Read read_in(std::size_t piece, std::string_view bytes, const BodyLimits& allowed = limits) {
    BodyReader reader{{.kind = BodyKind::chunked}, allowed};
    Read result;
    while (result.consumed < bytes.size() && !reader.complete()) {
        const auto step = reader.read(bytes.substr(result.consumed, piece));
        if (!step) {
            result.ok = false;
            return result;
        }
        require(step->consumed > 0);
        result.consumed += step->consumed;
        result.data += step->data;
    }
    require(result.data.size() <= limits.bytes);
    result.complete = reader.complete();
    result.trailers = reader.trailers();
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const auto whole = read_in(SIZE_MAX, bytes);
    const auto single = read_in(1, bytes);
    require(whole.ok == single.ok && whole.complete == single.complete);
    if (!whole.ok || !whole.complete) return 0;
    require(whole.data == single.data && whole.consumed == single.consumed &&
            whole.trailers == single.trailers);

    std::string written;
    if (!whole.data.empty())
        written = encode_chunk_head(whole.data.size()) + whole.data + std::string{chunk_end};
    const auto back = read_in(SIZE_MAX, written + encode_last_chunk(whole.trailers), written_limits);
    require(back.ok && back.complete && back.data == whole.data && back.trailers == whole.trailers);
    return 0;
}
