#include "callers.h"

#include <algorithm>

#include "random_steps.h"

namespace nomiqon::simulation {
namespace {

namespace asio = boost::asio;
using ledger::ReserveAnswer;
using ledger::ReserveCommand;
using ledger::Reserved;
using ledger::ReserveRefused;
using ledger::StalePolicy;
using namespace std::chrono_literals;

constexpr std::int64_t cent = 10'000'000;
constexpr std::uint64_t authorized_percent = 8;
constexpr std::uint64_t session_percent = 35;
constexpr std::uint64_t replayed_percent = 8;
constexpr std::size_t remembered_tokens = 64;

bool burns(const ReserveAnswer& answer) {
    if (std::holds_alternative<Reserved>(answer)) return true;
    const auto* refused = std::get_if<ReserveRefused>(&answer);
    return refused != nullptr && info(refused->code).status == 402;
}

}  // namespace

Callers::Callers(World& world, ModelLedger& model, Judge& judge, std::size_t agents)
    : world_(world), model_(model), judge_(judge) {
    Random& random = world_.random;
    for (std::size_t i = 0; i < agents; ++i) {
        std::string seed;
        while (seed.size() < 32)
            seed += static_cast<char>(random.below(256));
        Agent agent{.id = random.id<AgentId>().str(),
                    .key = *token::SigningKey::from_seed(seed),
                    .sessions = {},
                    .once = {},
                    .scale = random.between(cent / 10, 2 * cent)};
        model_.create_agent(agent.id, agent.key.caid().str(), policy(agent));
        for (int session = 0; session < 3; ++session)
            agent.sessions.push_back(this->session(agent));
        agents_.push_back(std::move(agent));
    }
}

Callers::Agent& Callers::somebody() {
    return world_.random.one_in(2) ? agents_[0] : world_.random.pick(std::span{agents_});
}

Callers::Session Callers::session(Agent& agent) {
    const std::int64_t now = unix_seconds(world_.now());
    Session session{.jti = "session-" + std::to_string(++count_) + "-of-this-run",
                    .exp = now + world_.random.between(200, 80'000),
                    .max = agent.scale * world_.random.between(20, 2000),
                    .signed_text = {}};
    session.signed_text = agent.key.mint({.iat = now,
                                          .exp = session.exp,
                                          .jti = session.jti,
                                          .use = token::TokenUse::session,
                                          .max = Usdc::from_nanos(session.max)});
    return session;
}

Policy Callers::policy(const Agent& agent) {
    Random& random = world_.random;
    const auto cap = [&](std::uint64_t percent, std::int64_t least, std::int64_t most) {
        return random.percent(percent) ? Cap{agent.scale * random.between(least, most)} : Cap{};
    };
    Policy policy{.daily_cap = cap(60, 200, 20'000),
                  .total_cap = cap(30, 1000, 40'000),
                  .max_per_request = cap(30, 2, 12),
                  .frozen = random.one_in(40),
                  .document = {}};
    policy.document = document_of(policy);
    return policy;
}

std::int64_t Callers::amount(const Agent& agent) {
    if (world_.random.one_in(30)) return 0;
    return world_.random.between(1, world_.random.one_in(20) ? 20 * agent.scale : 2 * agent.scale);
}

// Requests --------------------------------------------------------------------------------------------------

void Callers::request(SimulatedGateway& gateway, StillThere still_there) {
    Agent& agent = somebody();
    if (world_.random.percent(authorized_percent)) {
        service::SpendRequest request = spend_request(agent);
        gateway.spawn(authorize(gateway, std::move(request), amount(agent), std::move(still_there)));
    } else {
        gateway.spawn(reserve(gateway, command(agent), std::move(still_there)));
    }
}

ReserveCommand Callers::command(Agent& agent) {
    Random& random = world_.random;
    std::string jti = "once-" + std::to_string(++count_) + "-of-this-run";
    std::int64_t exp = unix_seconds(world_.now()) + random.between(1, 300);
    std::optional<Usdc> max;
    bool session = false;
    if (random.percent(session_percent)) {
        Session& used = random.pick(std::span{agent.sessions});
        if (used.exp < unix_seconds(world_.now()) || random.one_in(400)) used = this->session(agent);
        session = true;
        jti = used.jti;
        exp = used.exp;
        max = Usdc::from_nanos(used.max);
    } else if (!agent.once.empty() && random.percent(replayed_percent)) {
        std::tie(jti, exp) = agent.once[random.below(agent.once.size())];
    } else {
        agent.once.emplace_back(jti, exp);
        if (agent.once.size() > remembered_tokens) agent.once.pop_front();
    }
    const std::int64_t bound = amount(agent);
    const bool typical = random.percent(25);
    const auto snapshot = model_.find_agent(agent.key.caid().str());
    return {.transaction = random.id<TransactionId>(),
            .request = random.id<RequestId>(),
            .agent = *AgentId::parse(agent.id),
            .caid = agent.key.caid(),
            .policy_version = snapshot->policy_version - (random.one_in(30) ? 1 : 0),
            .decision = random.one_in(50) ? std::optional{RefusalCode::policy_domain_blocked} : std::nullopt,
            .amount = Usdc::from_nanos(bound),
            .typical = typical ? std::optional{Usdc::from_nanos(bound / random.between(1, 6))} : std::nullopt,
            .overrun_limit = Usdc::from_nanos(typical ? agent.scale * random.between(0, 30) : 0),
            .wait_until = {},
            .token = "unsigned." + jti,
            .jti = jti,
            .token_exp = exp,
            .session = session,
            .token_max = max,
            .ref = "run",
            .scheme = "https",
            .host = "api.example.com",
            .port = 443,
            .method = "POST",
            .model = "model"};
}

service::SpendRequest Callers::spend_request(Agent& agent) {
    Random& random = world_.random;
    std::string text = random.pick(agent.sessions).signed_text;
    if (random.one_in(4)) {
        const std::int64_t now = unix_seconds(world_.now());
        text = agent.key.mint(
            {.iat = now, .exp = now + 300, .jti = "signed-" + std::to_string(++count_) + "-of-this-run"});
    }
    ++verified_;
    return {.id = random.id<RequestId>(),
            .way = service::Way::plain,
            .scheme = Scheme::https,
            .host = *HostName::parse(random.one_in(2) ? "typical.example.com" : "api.example.com"),
            .port = 443,
            .method = "POST",
            .path = "/v1/answers",
            .token = std::move(text),
            .claimed_caid = {},
            .claimed_agent = {}};
}

asio::awaitable<void> Callers::reserve(SimulatedGateway& gateway, ReserveCommand command,
                                       StillThere still_there) {
    auto answer = co_await gateway.reserve(command);
    if (answer && std::holds_alternative<StalePolicy>(*answer)) {
        command.policy_version = std::get<StalePolicy>(*answer).current.policy_version;
        answer = co_await gateway.reserve(command);
    }
    if (!answer) {
        note(answer.error() == ledger::LedgerError::overloaded ? "overloaded" : "unavailable", 0);
        co_return;
    }
    hear(command, *answer);
    if (const auto* held = std::get_if<Reserved>(&*answer))
        end_later(*held, command.amount.nanos(), still_there);
}

void Callers::hear(const ReserveCommand& command, const ReserveAnswer& answer) {
    if (!command.session && burns(answer)) {
        judge_.hear_token_paid_or_402(token_key(command.caid.str(), command.token_exp, command.jti),
                                      command.transaction.str());
    }
    if (const auto* held = std::get_if<Reserved>(&answer)) return note("reserved", held->amount.nanos());
    if (const auto* refused = std::get_if<ReserveRefused>(&answer)) return note(info(refused->code).name, 0);
    note("stale", 0);
}

// What the answer from the provider turns out to cost.
Judge::Promise Callers::ending(const std::string& agent, const std::string& transaction, std::int64_t bound) {
    Random& random = world_.random;
    Judge::Promise promise{.agent = agent, .transaction = transaction, .amount = 0};
    if (random.one_in(12)) {
        promise.settled = false;
    } else if (random.one_in(12)) {
        promise.unknown = true;
        promise.amount = bound;
    } else {
        promise.amount = random.one_in(60) ? bound + random.between(1, bound + 1) : random.between(0, bound);
    }
    return promise;
}

void Callers::end_later(const Reserved& held, std::int64_t bound, const StillThere& still_there) {
    const Micros delay =
        world_.random.one_in(50) ? Micros{world_.random.between(0, 120'000'000)} : world_.about(600ms);
    world_.after(delay, [this, held, bound, still_there] {
        SimulatedGateway* gateway = still_there();
        if (gateway == nullptr || gateway->is_dying()) return;
        const Judge::Promise promise = ending(held.agent.str(), held.transaction.str(), bound);
        gateway->promise(promise);
        gateway->end({.transaction = held.transaction,
                      .agent = held.agent,
                      .day = held.day,
                      .ending = promise.settled ? ledger::Ending::settled : ledger::Ending::released,
                      .amount = Usdc::from_nanos(promise.amount),
                      .unknown = promise.unknown,
                      .reason = promise.settled ? "" : "upstream_unreachable",
                      .model = {}});
    });
}

asio::awaitable<void> Callers::authorize(SimulatedGateway& gateway, service::SpendRequest request,
                                         std::int64_t bound, StillThere still_there) {
    service::SpendAuthorizer& authorizer = gateway.authorizer();
    auto admission = co_await authorizer.admit(std::move(request));
    if (!admission) {
        note(info(admission.error().code).name, 0);
        co_return;
    }
    auto reservation = co_await authorizer.reserve(
        std::move(*admission),
        service::CallPrice{.bound = Usdc::from_nanos(bound), .model = "model", .metered = true});
    if (!reservation) {
        note(info(reservation.error().code).name, 0);
        co_return;
    }
    note("reserved", reservation->amount().nanos());
    const std::string agent = reservation->agent().str();
    const std::string transaction = reservation->transaction().str();
    gateway.keep(std::move(*reservation));
    world_.after(world_.about(600ms),
                 [this, agent, transaction, bound, still_there = std::move(still_there)] {
                     SimulatedGateway* there = still_there();
                     if (there == nullptr || there->is_dying()) return;
                     std::optional<service::Reservation> held = there->take(transaction);
                     const Judge::Promise promise = ending(agent, transaction, bound);
                     there->promise(promise);
                     if (!promise.settled) return held->release(RefusalCode::upstream_unreachable);
                     if (!promise.unknown) return held->settle(Usdc::from_nanos(promise.amount));
                     held.reset();  // forgotten, which is the same as unknown
                 });
}

void Callers::note(std::string_view answer, std::int64_t amount) {
    ++answers_[std::string{answer}];
    for (const std::uint64_t part :
         {std::hash<std::string_view>{}(answer), static_cast<std::uint64_t>(amount),
          static_cast<std::uint64_t>(world_.now().time_since_epoch().count())})
        trace_ = (trace_ ^ part) * 1099511628211U;
}

// Administration --------------------------------------------------------------------------------------------

void Callers::administer() {
    Random& random = world_.random;
    Agent& agent = somebody();
    if (model_.is_locked(agent.id)) return;
    const AgentRow& row = model_.accounts().at(agent.id).agent;
    const Time now = world_.now();
    // Refusals are answers, too: nobody minds them here.
    switch (random.below(14)) {
        case 0:
        case 1:
        case 2:
            std::ignore = model_.set_policy(agent.id, policy(agent));
            return;
        case 3: {
            Policy thawed = row.policy;
            thawed.frozen = random.one_in(16);
            thawed.document = document_of(thawed);
            std::ignore = model_.set_policy(agent.id, thawed);
            return;
        }
        case 4:
            std::ignore = model_.set_paused(agent.id, random.one_in(12));
            return;
        case 5:
            std::ignore =
                model_.adjust(agent.id, agent.scale * random.between(-60, 20) + 1, "a mistake", now);
            return;
        case 6:
            // The busiest one lives on.
            if (&agent != agents_.data() && random.one_in(60)) std::ignore = model_.terminate(agent.id, now);
            return;
        default:
            std::ignore = model_.fund(agent.id, agent.scale * random.between(1, 140),
                                      "invoice " + std::to_string(++count_), now);
    }
}

}  // namespace nomiqon::simulation
