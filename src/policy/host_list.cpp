#include "host_list.h"

#include <algorithm>
#include <utility>

namespace nomiqon::policy {
namespace {

void sort_ports(std::vector<std::uint16_t>& ports) {
    std::ranges::sort(ports);
    const auto repeated = std::ranges::unique(ports);
    ports.erase(repeated.begin(), repeated.end());
}

}  // namespace

bool HostList::Entries::has_port(std::uint16_t port) const {
    return std::ranges::binary_search(ports, port);
}

bool HostList::add(const HostPattern& pattern, Conditions conditions) {
    auto& entries = pattern.kind == HostPattern::Kind::any     ? any_
                    : pattern.kind == HostPattern::Kind::exact ? exact_[pattern.host]
                                                               : below_[pattern.host];
    if (!conditions.empty()) {
        if (entries.conditional.size() == most_conditional) return false;
        has_paths_ = has_paths_ || conditions.paths;
        entries.conditional.push_back({.port = pattern.port, .conditions = std::move(conditions)});
    } else if (pattern.port) {
        entries.ports.push_back(*pattern.port);
    } else {
        entries.any_port = true;
    }
    return true;
}

void HostList::seal() {
    sort_ports(any_.ports);
    for (auto* index : {&exact_, &below_}) {
        for (auto& [name, entries] : *index)
            sort_ports(entries.ports);
    }
}

}  // namespace nomiqon::policy
