#include "simulation.h"

#include "nomiqon/audit/auditor.h"

namespace nomiqon::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t gateways = 4;
constexpr std::size_t agents = 6;
constexpr std::uint64_t crash_one_in = 8000;
constexpr Micros judged_every = 1s;
constexpr Micros drain_limit = 10min;
constexpr Micros leases_lapsed = 3min;

// Shortly before a midnight: a run lasts some minutes.
Time begin_of(std::uint64_t seed) {
    const Day first = Day{std::chrono::year{2027} / 3 / 1} + std::chrono::days{seed % 1000};
    return Time{first + std::chrono::days{1}} - std::chrono::seconds{20 + seed % 60};
}

std::shared_ptr<const metering::RouteTable> routes() {
    Route typical;
    typical.host = "typical.example.com";
    typical.price = RoutePrice{.per_request = Usdc::from_nanos(1)};
    typical.reserve = ReserveMode::typical;
    typical.overrun_limit = Usdc::from_nanos(200'000'000);
    return std::make_shared<const metering::RouteTable>(std::vector{typical});
}

}  // namespace

Simulation::Simulation(const Options& options)
    : options_(options),
      world_(options.seed, begin_of(options.seed)),
      database_(world_, options.fault),
      callers_(world_, database_.model(), judge_, agents),
      routes_(routes()),
      slots_(gateways) {
    database_.on_commit = [this](const Work& work) {
        std::set<std::string> freed;
        for (const ledger::EndCommand& ending : work.endings)
            freed.insert(ending.agent.str());
        for (Slot& slot : slots_) {
            if (!slot.gateway) continue;
            slot.gateway->after_commit(work);
            for (const std::string& agent : freed)
                slot.gateway->hear_freed(agent);
        }
    };
}

Simulation::Result Simulation::run() {
    const Time begin = world_.now();
    for (int i = 0; i < 20; ++i)
        callers_.administer();
    for (std::size_t slot = 0; slot < slots_.size(); ++slot)
        start(slot);
    burst();
    trouble();
    administer();
    judge();
    while (operations() < options_.operations && judge_.clean())
        world_.step();
    const std::uint64_t counted = operations();
    if (judge_.clean()) drain();
    if (judge_.clean() && options_.audit) audit();

    Result result{.findings = judge_.findings(),
                  .operations = counted,
                  .lines = judge_.lines(),
                  .trace = callers_.trace(),
                  .verified_tokens = callers_.verified_tokens(),
                  .gateways = stats_,
                  .database = database_.stats(),
                  .answers = callers_.answers()};
    result.findings.insert(result.findings.end(), findings_.begin(), findings_.end());
    result.midnights = static_cast<std::uint64_t>((day_of(world_.now()) - day_of(begin)).count());
    for (const auto& [agent, account] : database_.model().accounts()) {
        result.corrected += account.corrections.size();
        for (const auto& [id, ending] : account.endings)
            result.expired += ending.reason == "expired" ? 1 : 0;
    }
    return result;
}

// Gateways --------------------------------------------------------------------------------------------------

void Simulation::start(std::size_t slot) {
    slots_[slot].gateway = std::make_unique<SimulatedGateway>(world_, database_, judge_, stats_, routes_,
                                                              [this, slot, life = slots_[slot].life] {
                                                                  if (slots_[slot].life == life) crash(slot);
                                                              });
    if (!over_) slots_[slot].gateway->set_crash_odds(crash_one_in);
}

// Another takes its place a little later.
void Simulation::crash(std::size_t slot) {
    ++slots_[slot].life;
    slots_[slot].gateway.reset();
    world_.after(world_.about(1s), [this, slot] { start(slot); });
}

// Load ------------------------------------------------------------------------------------------------------

void Simulation::burst() {
    if (over_) return;
    for (std::uint64_t i = world_.random.below(60) + 1; i > 0; --i) {
        const std::size_t slot = world_.random.below(slots_.size());
        const auto still_there = [this, slot, life = slots_[slot].life]() -> SimulatedGateway* {
            return slots_[slot].life == life ? slots_[slot].gateway.get() : nullptr;
        };
        world_.after(Micros{world_.random.between(0, 3000)}, [this, still_there] {
            SimulatedGateway* gateway = still_there();
            if (gateway != nullptr && !gateway->is_dying()) callers_.request(*gateway, still_there);
        });
    }
    world_.after(world_.about(200ms), [this] { burst(); });
}

void Simulation::administer() {
    if (over_) return;
    callers_.administer();
    world_.after(world_.about(300ms), [this] { administer(); });
}

// What happens to machines and networks.
void Simulation::trouble() {
    if (over_) return;
    Random& random = world_.random;
    switch (random.below(10)) {
        case 0:
            database_.die(Micros{random.one_in(6) ? random.between(12'000'000, 30'000'000)
                                                  : random.between(10'000, 2'000'000)});
            break;
        case 1:
            database_.slow_down(
                static_cast<int>(random.one_in(3) ? random.between(1000, 20'000) : random.between(2, 200)));
            world_.after(Micros{random.between(500'000, 6'000'000)}, [this] { database_.slow_down(1); });
            break;
        case 2:
        case 3:
            if (Slot& slot = slots_[random.below(slots_.size())]; slot.gateway) {
                slot.gateway->cut_off(Micros{random.one_in(3) ? random.between(10'000'000, 40'000'000)
                                                              : random.between(100'000, 4'000'000)});
            }
            break;
        case 4:
            if (Slot& slot = slots_[random.below(slots_.size())]; slot.gateway) slot.gateway->die();
            break;
        default:
            break;
    }
    world_.after(world_.about(4s), [this] { trouble(); });
}

// Judgement -------------------------------------------------------------------------------------------------

void Simulation::judge() {
    judge_.look_at(database_.model().accounts());
    if (!over_) world_.after(judged_every, [this] { judge(); });
}

void Simulation::drain() {
    over_ = true;
    for (Slot& slot : slots_) {
        if (slot.gateway) slot.gateway->set_crash_odds(0);
    }
    const Time limit = world_.now() + drain_limit;
    // Whoever was cut off, down or waiting for its caller needs its time.
    world_.run_until(world_.now() + 3min);
    const auto drained = [this] {
        return std::ranges::all_of(
            slots_, [](const Slot& slot) { return slot.gateway && slot.gateway->is_drained(); });
    };
    while (!drained() && world_.now() < limit)
        world_.step();
    if (!drained()) findings_.emplace_back("the gateways don't drain");
    for (Slot& slot : slots_) {
        if (slot.gateway) slot.gateway->leave();
    }
    world_.run_until(world_.now() + leases_lapsed);
    for (Slot& slot : slots_)
        slot.gateway.reset();
    database_.model().expire(world_.now());
    judge_.close(database_.model().accounts());
}

// The audit module's own opinion of the same chains.
void Simulation::audit() {
    for (const auto& [agent, account] : database_.model().accounts()) {
        nomiqon::audit::Auditor auditor{agent, {.tokens = false}};
        std::optional<nomiqon::audit::Finding> finding;
        for (const TransferRow& row : account.transfers) {
            finding = auditor.add(row.line, row.hash);
            if (finding) break;
        }
        if (!finding) finding = auditor.finish();
        if (!finding) {
            nomiqon::audit::StoredRows stored{
                .head = {.seq = account.wallet.chain_seq, .hash = account.wallet.chain_hash},
                .balances = {.balance = Usdc::from_nanos(account.wallet.balance),
                             .reserved = Usdc::from_nanos(account.wallet.reserved),
                             .spent = Usdc::from_nanos(account.wallet.spent),
                             .exposed = Usdc::from_nanos(account.wallet.exposed)},
                .days = {}};
            for (const auto& [day, row] : account.days)
                stored.days[day] = {.spent = Usdc::from_nanos(row.spent),
                                    .reserved = Usdc::from_nanos(row.reserved)};
            finding = compare(auditor, stored);
        }
        if (finding) {
            findings_.push_back("the audit says of " + agent + ", line " + std::to_string(finding->seq) +
                                ": " + finding->what);
        }
    }
}

}  // namespace nomiqon::simulation
