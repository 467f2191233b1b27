#include "nomiqon/audit/auditor.h"

#include <utility>

#include "replay.h"

namespace nomiqon::audit {
namespace {

std::string differs(std::string_view what, Usdc stored, Usdc replayed) {
    return "the stored " + std::string{what} + " is " + stored.to_string() +
           " USDC, and the chain adds up to " + replayed.to_string();
}

std::optional<std::string> compare_balances(const Balances& stored, const Balances& replayed) {
    if (stored.balance != replayed.balance) return differs("balance", stored.balance, replayed.balance);
    if (stored.reserved != replayed.reserved) return differs("reserved", stored.reserved, replayed.reserved);
    if (stored.spent != replayed.spent) return differs("spent", stored.spent, replayed.spent);
    if (stored.exposed != replayed.exposed) return differs("exposed", stored.exposed, replayed.exposed);
    return std::nullopt;
}

/// A day without a row is a day of zeros.
std::optional<std::string> compare_days(const std::map<Day, DayTotals>& stored,
                                        const std::map<Day, DayTotals>& replayed) {
    const auto of = [](const std::map<Day, DayTotals>& days, Day day) {
        const auto found = days.find(day);
        return found == days.end() ? DayTotals{} : found->second;
    };
    for (const auto* const days : {&stored, &replayed}) {
        for (const auto& [day, ignored] : *days) {
            const auto a = of(stored, day);
            const auto b = of(replayed, day);
            if (a.spent != b.spent) return differs("spent of " + format_day(day), a.spent, b.spent);
            if (a.reserved != b.reserved)
                return differs("reserved of " + format_day(day), a.reserved, b.reserved);
        }
    }
    return std::nullopt;
}

std::optional<std::string> compare_counts(const RowCounts& stored, const RowCounts& replayed) {
    const auto check = [](std::string_view rows, std::int64_t there,
                          std::int64_t lines) -> std::optional<std::string> {
        if (there == lines) return std::nullopt;
        return "there are " + std::to_string(there) + " stored " + std::string{rows} +
               ", and the chain has " + std::to_string(lines);
    };
    if (auto found = check("transfers", stored.transfers, replayed.transfers)) return found;
    if (auto found = check("reservations", stored.reservations, replayed.reservations)) return found;
    if (auto found = check("endings", stored.endings, replayed.endings)) return found;
    return check("corrections", stored.corrections, replayed.corrections);
}

}  // namespace

Auditor::Auditor(std::string agent, Options options, const Opening& opening)
    : replay_(std::make_unique<Replay>(std::move(agent), std::move(options), opening)) {}
Auditor::~Auditor() = default;
Auditor::Auditor(Auditor&&) noexcept = default;
Auditor& Auditor::operator=(Auditor&&) noexcept = default;

std::optional<Finding> Auditor::add(std::string_view line, const Hash& hash) {
    return replay_->add(line, hash);
}
std::optional<Finding> Auditor::finish() const {
    return replay_->finish();
}
const std::string& Auditor::agent() const {
    return replay_->agent;
}
const Head& Auditor::head() const {
    return replay_->head;
}
const Balances& Auditor::balances() const {
    return replay_->balances;
}
const std::map<Day, DayTotals>& Auditor::days() const {
    return replay_->days;
}
const RowCounts& Auditor::counts() const {
    return replay_->counts;
}
std::vector<OpenReservation> Auditor::open() const {
    std::vector<OpenReservation> all;
    for (const auto& [transaction, reservation] : replay_->open)
        all.push_back(reservation);
    return all;
}

std::optional<Finding> compare(const Auditor& auditor, const StoredRows& stored) {
    const auto finding = [&](std::string what) {
        return Finding{.invariant = Invariant::stored,
                       .agent = auditor.agent(),
                       .seq = auditor.head().seq,
                       .what = std::move(what)};
    };
    if (stored.head.seq != auditor.head().seq) {
        return finding("the wallet's row says that the chain has " + std::to_string(stored.head.seq) +
                       " lines, and it has " + std::to_string(auditor.head().seq));
    }
    if (stored.head.hash != auditor.head().hash)
        return finding("the wallet's row has another hash than the chain's last line");
    if (auto what = compare_balances(stored.balances, auditor.balances())) return finding(std::move(*what));
    if (auto what = compare_days(stored.days, auditor.days())) return finding(std::move(*what));
    if (!stored.counts) return std::nullopt;
    if (auto what = compare_counts(*stored.counts, auditor.counts())) return finding(std::move(*what));
    return std::nullopt;
}

}  // namespace nomiqon::audit
