#include "nomiqon/audit/state.h"

#include <nlohmann/json.hpp>

namespace nomiqon::audit {
namespace {

using nlohmann::json;

/// Members of one object, each of which must be there.
class Members {
  public:
    Members(const json& object, std::string& problem) : object_(object), problem_(problem) {}

    const json& member(const char* name) {
        static const json nothing;
        if (!object_.is_object()) return fail(name), nothing;
        const auto found = object_.find(name);
        if (found == object_.end()) return fail(name), nothing;
        return *found;
    }
    std::string text(const char* name) {
        const auto& value = member(name);
        if (value.is_string()) return value.get<std::string>();
        fail(name);
        return {};
    }
    std::int64_t integer(const char* name) {
        const auto& value = member(name);
        // What is above a signed 64-bit integer is an unsigned one in this library.
        if (value.is_number_integer() &&
            (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX))
            return value.get<std::int64_t>();
        fail(name);
        return 0;
    }
    bool boolean(const char* name) {
        const auto& value = member(name);
        if (value.is_boolean()) return value.get<bool>();
        fail(name);
        return false;
    }
    Usdc amount(const char* name) { return Usdc::from_nanos(integer(name)); }
    Day day(const char* name) {
        const auto day = parse_day(text(name));
        if (!day) fail(name);
        return day.value_or(Day{});
    }
    TokenKey token() { return {.caid = text("caid"), .exp = integer("tokenExp"), .id = text("tokenId")}; }

    template <class Read>
    void each(const char* name, const Read& read) {
        const auto& list = member(name);
        if (!list.is_array()) return fail(name);
        for (const auto& item : list)
            read(Members{item, problem_});
    }

    void fail(const char* name) {
        if (problem_.empty()) problem_ = "its member " + std::string{name} + " is missing or of another form";
    }

  private:
    const json& object_;
    std::string& problem_;
};

}  // namespace

std::expected<Opening, std::string> parse_opening(const json& document) {
    std::string problem;
    Members all{document, problem};
    Opening opening;
    opening.head.seq = all.integer("seq");
    if (const auto hash = hash_from_hex(all.text("hash"))) {
        opening.head.hash = *hash;
    } else {
        all.fail("hash");
    }
    opening.balances = {.balance = all.amount("balance"),
                        .reserved = all.amount("reserved"),
                        .spent = all.amount("spent"),
                        .exposed = all.amount("exposed")};
    all.each("days", [&](Members day) {
        opening.days[day.day("day")] = {.spent = day.amount("spent"), .reserved = day.amount("reserved")};
    });
    all.each("open", [&](Members one) {
        opening.open.push_back({.transaction = one.text("transaction"),
                                .day = one.day("day"),
                                .host = one.text("host"),
                                .held = one.amount("held"),
                                .bound = one.amount("bound"),
                                .token = one.token()});
    });
    all.each("expired", [&](Members one) {
        opening.expired.push_back({.transaction = one.text("transaction"),
                                   .day = one.day("day"),
                                   .host = one.text("host"),
                                   .booked = one.amount("booked"),
                                   .token = one.token()});
    });
    all.each("tokens", [&](Members one) {
        opening.tokens.push_back({.key = one.token(),
                                  .session = one.boolean("session"),
                                  .spent = one.amount("spent"),
                                  .reserved = one.amount("reserved")});
    });
    if (!problem.empty()) return std::unexpected(problem);
    return opening;
}

}  // namespace nomiqon::audit
