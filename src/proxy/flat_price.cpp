#include "flat_price.h"

namespace nomiqon::proxy {

namespace {

bool is_json(const HeaderFields& headers) {
    constexpr std::string_view suffix = "+json";
    const HeaderField* type = find_field(headers, "Content-Type");
    if (type == nullptr) return false;
    const std::string_view value = type->value;
    const std::string_view media = trim_ows(value.substr(0, value.find(';')));
    if (iequals(media, "application/json")) return true;
    return media.size() > suffix.size() && iequals(media.substr(media.size() - suffix.size()), suffix);
}

}  // namespace

FlatPrice::FlatPrice(int status, const HeaderFields& headers) : status_(status), json_(is_json(headers)) {}

void FlatPrice::see(std::string_view data) {
    if (status_ < 500 || !json_ || too_long_) return;
    too_long_ = body_.size() + data.size() > error_body_bytes;
    if (!too_long_) body_ += data;
}

bool FlatPrice::decided_by_status() const {
    return status_ < 500;
}

FlatCost FlatPrice::cost() const {
    if (status_ < 300) return FlatCost::full;
    if (status_ == 408 || status_ == 499) return FlatCost::unknown;
    if (status_ < 500) return FlatCost::nothing;
    return is_provider_error() ? FlatCost::nothing : FlatCost::unknown;
}

/// A JSON object that has an "error" somewhere. Whoever answers 5xx decides by it what he is paid, so a
/// closer look would win nothing.
bool FlatPrice::is_provider_error() const {
    if (!json_ || too_long_) return false;
    const auto start = body_.find_first_not_of(" \t\r\n");
    return start != std::string::npos && body_[start] == '{' && body_.find("\"error\"") != std::string::npos;
}

}  // namespace nomiqon::proxy
