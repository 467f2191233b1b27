// The answer to a ClientHello must not depend on the pieces in which it came.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "client_hello.h"

namespace {
void require(bool holds) {
    if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nomiqon::proxy;
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const auto whole = ClientHelloReader{}.read(bytes);

    ClientHelloReader piecewise;
    auto last = piecewise.read(bytes.substr(0, 0));
    for (std::size_t seen = 1; seen <= size && last && !*last; ++seen)
        last = piecewise.read(bytes.substr(0, seen));
    require(whole.has_value() == last.has_value());
    if (!whole) return 0;
    require(whole->has_value() == last->has_value());
    if (!*whole) return 0;
    require((*whole)->server_name == (*last)->server_name && (*whole)->alpn == (*last)->alpn);
    static const auto host = *nomiqon::HostName::parse("api.openai.com");
    if (sni_matches(**whole, host))
        require(!(*whole)->encrypted_client_hello && (*whole)->server_name.has_value());
    return 0;
}
