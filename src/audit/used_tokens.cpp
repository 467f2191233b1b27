#include "used_tokens.h"

namespace nomiqon::audit {
namespace {

constexpr std::int64_t seconds_an_hour = 3600;

std::int64_t hour_of(std::int64_t exp) {
    return exp / seconds_an_hour;
}

/// A space is in none of the parts.
std::string name_of(const TokenKey& key) {
    std::string name;
    name.reserve(key.id.size() + key.caid.size() + 24);
    name += key.id;
    name += ' ';
    name += key.caid;
    name += ' ';
    name += std::to_string(key.exp);
    return name;
}

}  // namespace

UsedTokens::Use* UsedTokens::find(const TokenKey& key) {
    const auto hour = hours_.find(hour_of(key.exp));
    if (hour == hours_.end()) return nullptr;
    const auto found = hour->second.find(name_of(key));
    return found == hour->second.end() ? nullptr : &found->second;
}

UsedTokens::Use& UsedTokens::add(const TokenKey& key, bool session) {
    auto& use = hours_[hour_of(key.exp)][name_of(key)];
    use.session = session;
    return use;
}

void UsedTokens::forget(std::int64_t now_seconds) {
    while (!hours_.empty() && (hours_.begin()->first + 1) * seconds_an_hour <= now_seconds - seconds_an_hour)
        hours_.erase(hours_.begin());
}

std::size_t UsedTokens::size() const {
    std::size_t sum = 0;
    for (const auto& [hour, uses] : hours_)
        sum += uses.size();
    return sum;
}

}  // namespace nomiqon::audit
