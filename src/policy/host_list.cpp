#include "host_list.h"

#include <algorithm>

namespace nomiqon::policy {
namespace {

void sort_ports(HostList::Ports& ports) {
    std::ranges::sort(ports.named);
    const auto repeated = std::ranges::unique(ports.named);
    ports.named.erase(repeated.begin(), repeated.end());
}

}  // namespace

void HostList::add(const HostPattern& pattern) {
    auto& ports = pattern.kind == HostPattern::Kind::any     ? any_
                  : pattern.kind == HostPattern::Kind::exact ? exact_[pattern.host]
                                                             : below_[pattern.host];
    if (pattern.port) {
        ports.named.push_back(*pattern.port);
    } else {
        ports.unnamed = true;
    }
}

void HostList::seal() {
    sort_ports(any_);
    for (auto* index : {&exact_, &below_}) {
        for (auto& [name, ports] : *index)
            sort_ports(ports);
    }
}

}  // namespace nomiqon::policy
