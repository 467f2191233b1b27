// Host names: what is taken is in the one spelling that it is taken in again, and is nothing that a resolver
// or a URL parser could take for another address.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "nomiqon/core/host.h"
#include "nomiqon/core/ip_address.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nomiqon;
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    if (const auto endpoint = Endpoint::parse(input)) {
        if (Endpoint::parse(endpoint->to_string()) != *endpoint) std::abort();
    }
    const auto host = HostName::parse(input);
    if (!host) return 0;
    if (HostName::parse(host->str()) != *host) std::abort();
    for (const char c : host->str()) {
        if (c <= ' ' || c >= '\x7f' || (c >= 'A' && c <= 'Z') || c == '/' || c == '@' || c == '%')
            std::abort();
    }
    // inet_aton(3) takes 127.1, 0x7f.1 and 2130706433.
    in_addr loose{};
    const bool numeric = inet_aton(host->str().c_str(), &loose) != 0;
    if (numeric && (!host->is_ip_literal() || !IpAddress::parse(host->str()))) std::abort();
    return 0;
}
