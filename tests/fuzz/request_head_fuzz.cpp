// What the request reader takes must read back, after forwarding, as exactly one request with the same
// framing; and it must not matter in which pieces it came.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "forwarded_head.h"
#include "request_head.h"

namespace {

using namespace nomiqon;
using namespace nomiqon::proxy;

void require(bool holds) {
    if (!holds) std::abort();
}

void check_forwarded(const RequestHead& head) {
    const auto target = head.target.endpoint ? *head.target.endpoint : *Endpoint::parse("example.com:80");
    const auto bytes = upstream_request_head(head, {.target = target, .body = head.framing()});
    const auto back = RequestHeadReader{{.bytes = 1 << 20, .count = 1000}}.read(bytes);
    require(back.has_value() && back->has_value());
    require((*back)->consumed == bytes.size() && (*back)->framing() == head.framing());
    require((*back)->method == head.method && (*back)->target.path_and_query == head.target.path_and_query);
    for (const auto& field : (*back)->headers)
        require(!is_gateway_field(field.name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const HeadLimits limits{.bytes = 8192, .count = 50};
    const auto whole = RequestHeadReader{limits}.read(bytes);

    RequestHeadReader piecewise{limits};
    auto last = piecewise.read(bytes.substr(0, 0));
    for (std::size_t seen = 1; seen <= size && last && !*last; ++seen)
        last = piecewise.read(bytes.substr(0, seen));
    require(whole.has_value() == last.has_value());
    if (!whole || !*whole) return 0;
    require(last->has_value() && (*last)->consumed == (*whole)->consumed &&
            (*last)->headers == (*whole)->headers);
    require((*whole)->consumed <= limits.bytes && (*whole)->headers.size() <= limits.count);
    if (!(*whole)->is_connect()) check_forwarded(**whole);
    return 0;
}
