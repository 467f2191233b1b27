#include "nomiqon/service/spend_authorizer.h"

#include <atomic>

#include "agent_cache.h"
#include "typical_costs.h"

namespace nomiqon::service {
namespace {

namespace asio = boost::asio;

// Each turn needs another change of the agent's policy while the request is under way.
constexpr int max_stale_answers = 8;

Refusal refusal_of(ledger::LedgerError error) {
    return error == ledger::LedgerError::overloaded
               ? Refusal{.code = RefusalCode::overloaded, .detail = "the ledger's queue is full"}
               : Refusal{.code = RefusalCode::ledger_unavailable, .detail = "the database can't answer"};
}

token::BoundRequest bound_request(const SpendRequest& request) {
    return {.method = request.method,
            .scheme = request.scheme,
            .host = request.host.str(),
            .port = request.port,
            .path = request.way == Way::plain ? std::optional<std::string_view>{request.path} : std::nullopt};
}

std::expected<Usdc, RefusalCode> price_of(const metering::RouteTable& routes, const SpendRequest& request) {
    if (request.metered) return request.metered->bound;
    return request.way == Way::tunnel ? routes.price_of_tunnel(request.host, request.port)
                                      : routes.price_of_plain_request(request.host, request.port);
}

std::string model_of(const SpendRequest& request) {
    return request.metered ? request.metered->model : std::string{};
}

// How much is asked to be held for a request, and what its cost teaches the next ones.
struct Hold {
    std::optional<Usdc> typical;
    Usdc overrun_limit;
    std::string kind;  // of TypicalCosts; empty: it teaches nothing
};

// What stays with a request from its token on.
struct Proven {
    token::SpendToken token;
    std::shared_ptr<const KnownAgent> agent;
};

}  // namespace

// Reservation
// ---------------------------------------------------------------------------------------------------------

Reservation::Reservation(Reservation&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)),
      held_(std::move(other.held_)),
      bound_(other.bound_),
      session_token_(other.session_token_),
      lesson_(std::move(other.lesson_)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
    if (this != &other) {
        settle_as_unknown();
        ledger_ = std::exchange(other.ledger_, nullptr);
        held_ = std::move(other.held_);
        bound_ = other.bound_;
        session_token_ = other.session_token_;
        lesson_ = std::move(other.lesson_);
    }
    return *this;
}

Reservation::~Reservation() {
    settle_as_unknown();
}

void Reservation::settle(Usdc amount) {
    if (ledger_ == nullptr) return;
    end(ledger::Ending::settled, amount, false, {});
    if (lesson_.costs) lesson_.costs->learn(lesson_.kind, bound_, amount);
}
void Reservation::settle_in_full() {
    end(ledger::Ending::settled, bound_, false, {});
}
void Reservation::settle_as_unknown() {
    end(ledger::Ending::settled, bound_, true, {});
}
void Reservation::release(RefusalCode why) {
    end(ledger::Ending::released, Usdc{}, false, std::string{info(why).name});
}

void Reservation::end(ledger::Ending ending, Usdc amount, bool unknown, std::string reason) {
    if (ledger::Ledger* ledger = std::exchange(ledger_, nullptr)) {
        ledger->end({.transaction = held_.transaction,
                     .agent = held_.agent,
                     .day = held_.day,
                     .ending = ending,
                     .amount = amount,
                     .unknown = unknown,
                     .reason = std::move(reason),
                     .model = {}});
    }
}

// SpendAuthorizer
// -----------------------------------------------------------------------------------------------------

struct SpendAuthorizer::Impl {
    Impl(ledger::Ledger& the_ledger, const Clock& the_clock,
         std::shared_ptr<const metering::RouteTable> table, Options opts)
        : ledger(the_ledger),
          clock(the_clock),
          options(std::move(opts)),
          agents(options.cached_agents, {.require_allowlist = options.require_allowlist}),
          typical_costs(std::make_shared<TypicalCosts>(options.typical_kinds)),
          routes(std::move(table)) {}

    asio::awaitable<std::expected<std::shared_ptr<const KnownAgent>, Refusal>> find_agent(const Caid& caid);
    asio::awaitable<std::expected<Proven, Refusal>> prove(const SpendRequest& request);
    std::optional<RefusalCode> decide(const KnownAgent& agent, const SpendRequest& request) const;
    Hold hold_of(const metering::RouteTable& table, const SpendRequest& request, const AgentId& agent) const;
    asio::awaitable<std::expected<Reservation, Refusal>> reserve(const SpendRequest& request, Proven proven);
    void record(const SpendRequest& request, const Proven& proven, RefusalCode code, Usdc amount);

    ledger::Ledger& ledger;
    const Clock& clock;
    const Options options;
    AgentCache agents;
    const std::shared_ptr<TypicalCosts> typical_costs;  // also each reservation's that teaches
    std::atomic<std::shared_ptr<const metering::RouteTable>> routes;
};

SpendAuthorizer::SpendAuthorizer(ledger::Ledger& ledger, const Clock& clock,
                                 std::shared_ptr<const metering::RouteTable> routes, Options options)
    : impl_(std::make_unique<Impl>(ledger, clock, std::move(routes), std::move(options))) {}
SpendAuthorizer::~SpendAuthorizer() = default;

void SpendAuthorizer::set_routes(std::shared_ptr<const metering::RouteTable> routes) {
    impl_->routes.store(std::move(routes));
}
std::shared_ptr<const metering::RouteTable> SpendAuthorizer::routes() const {
    return impl_->routes.load();
}

asio::awaitable<std::expected<Reservation, Refusal>> SpendAuthorizer::authorize(SpendRequest request) {
    auto proven = co_await impl_->prove(request);
    if (!proven) co_return std::unexpected{std::move(proven.error())};

    const auto check = request.token_from_connect ? token::check_inner_binding : token::check_binding;
    if (auto mismatch = check(proven->token, bound_request(request))) {
        impl_->record(request, *proven, mismatch->code, Usdc{});
        mismatch->agent = proven->agent->agent.str();
        co_return std::unexpected{std::move(*mismatch)};
    }
    co_return co_await impl_->reserve(request, std::move(*proven));
}

asio::awaitable<std::expected<CheckedToken, Refusal>> SpendAuthorizer::check_token(SpendRequest request) {
    auto proven = co_await impl_->prove(request);
    if (!proven) co_return std::unexpected{std::move(proven.error())};
    const token::SpendToken& token = proven->token;

    std::optional<Refusal> refusal = token::check_connect_binding(token, bound_request(request));
    if (!refusal) {
        const auto used =
            co_await impl_->ledger.is_token_used(proven->agent->agent, token.caid, token.exp, token.jti);
        if (!used) {
            refusal = refusal_of(used.error());
        } else if (*used) {
            refusal = Refusal{.code = RefusalCode::spend_token_replayed, .detail = "burnt before"};
        }
    }
    if (refusal) {
        impl_->record(request, *proven, refusal->code, Usdc{});
        refusal->agent = proven->agent->agent.str();
        co_return std::unexpected{std::move(*refusal)};
    }
    co_return CheckedToken{
        .session = token.use == token::TokenUse::session, .exp = token.exp, .agent = proven->agent->agent};
}

// Token, its bearer, and the agent that it belongs to.
asio::awaitable<std::expected<Proven, Refusal>> SpendAuthorizer::Impl::prove(const SpendRequest& request) {
    auto token =
        token::verify(request.token, {.now = unix_seconds(clock.now()), .audience = options.audience});
    if (!token) co_return std::unexpected{std::move(token.error())};
    if (!request.claimed_caid.empty() && request.claimed_caid != token->caid.str()) {
        co_return std::unexpected{Refusal{.code = RefusalCode::spend_token_invalid,
                                          .detail = "the proxy's user name is not the token's kid"}};
    }
    auto agent = co_await find_agent(token->caid);
    if (!agent) co_return std::unexpected{std::move(agent.error())};
    if (!request.claimed_agent.empty() && request.claimed_agent != (*agent)->agent.str()) {
        co_return std::unexpected{Refusal{.code = RefusalCode::spend_token_invalid,
                                          .detail = "X-Nomiqon-Agent-Id is not the agent of the token"}};
    }
    co_return Proven{std::move(*token), std::move(*agent)};
}

asio::awaitable<std::expected<std::shared_ptr<const KnownAgent>, Refusal>> SpendAuthorizer::Impl::find_agent(
    const Caid& caid) {
    if (auto known = agents.find(caid)) co_return known;
    auto found = co_await ledger.find_agent(caid);
    if (!found) co_return std::unexpected{refusal_of(found.error())};
    if (!*found) {
        co_return std::unexpected{
            Refusal{.code = RefusalCode::spend_token_invalid, .detail = "nobody registered " + caid.str()}};
    }
    co_return agents.put(caid, **found);
}

std::optional<RefusalCode> SpendAuthorizer::Impl::decide(const KnownAgent& agent,
                                                         const SpendRequest& request) const {
    if (!agent.policy) return agent.unreadable;
    return agent.policy->decide(
        {.scheme = request.scheme, .host = request.host, .port = request.port, .method = request.method},
        clock.now());
}

// Only a metered price can turn out lower than its bound. A flat one is owed, or nothing is: holding less of
// it would be an overrun for sure, and the answers that cost nothing say nothing of the next one.
Hold SpendAuthorizer::Impl::hold_of(const metering::RouteTable& table, const SpendRequest& request,
                                    const AgentId& agent) const {
    if (!request.metered) return {};
    const std::optional<Usdc> limit = table.overrun_limit(request.host, request.port);
    if (!limit) return {};
    std::string kind = TypicalCosts::kind(agent, request.host.str(), request.metered->model);
    const std::optional<Usdc> typical = typical_costs->typical(kind, request.metered->bound);
    return {.typical = typical, .overrun_limit = typical ? *limit : Usdc{}, .kind = std::move(kind)};
}

// Policy and price say what they think; the ledger decides, under the policy version that it holds.
asio::awaitable<std::expected<Reservation, Refusal>> SpendAuthorizer::Impl::reserve(
    const SpendRequest& request, Proven proven) {
    const token::SpendToken& token = proven.token;
    const auto table = routes.load();
    const std::expected<Usdc, RefusalCode> price = price_of(*table, request);
    const Hold hold = hold_of(*table, request, proven.agent->agent);
    const auto wait_until = std::chrono::steady_clock::now() + options.wait;
    const TransactionId transaction = TransactionId::generate();

    for (int stale = 0; stale < max_stale_answers; ++stale) {
        const KnownAgent& agent = *proven.agent;
        std::optional<RefusalCode> decision = decide(agent, request);
        if (!decision && !price) decision = price.error();
        auto answer = co_await ledger.reserve({.transaction = transaction,
                                               .request = request.id,
                                               .agent = agent.agent,
                                               .caid = token.caid,
                                               .policy_version = agent.policy_version,
                                               .decision = decision,
                                               .amount = price.value_or(Usdc{}),
                                               .typical = hold.typical,
                                               .overrun_limit = hold.overrun_limit,
                                               .wait_until = wait_until,
                                               .token = token.text,
                                               .jti = token.jti,
                                               .token_exp = token.exp,
                                               .session = token.use == token::TokenUse::session,
                                               .token_max = token.max,
                                               .ref = token.ref,
                                               .scheme = std::string{to_string(request.scheme)},
                                               .host = request.host.str(),
                                               .port = request.port,
                                               .method = request.method,
                                               .model = model_of(request)});
        if (!answer) {
            Refusal refusal = refusal_of(answer.error());
            refusal.agent = agent.agent.str();
            record(request, proven, refusal.code, price.value_or(Usdc{}));
            co_return std::unexpected{std::move(refusal)};
        }
        if (auto* held = std::get_if<ledger::Reserved>(&*answer)) {
            co_return Reservation{ledger,
                                  std::move(*held),
                                  price.value_or(Usdc{}),
                                  token.use == token::TokenUse::session,
                                  {.costs = hold.kind.empty() ? nullptr : typical_costs, .kind = hold.kind}};
        }
        if (const auto* newer = std::get_if<ledger::StalePolicy>(&*answer)) {
            proven.agent = agents.put(token.caid, newer->current);
            continue;
        }
        auto& refused = std::get<ledger::ReserveRefused>(*answer);
        record(request, proven, refused.code, price.value_or(Usdc{}));
        co_return std::unexpected{Refusal{
            .code = refused.code, .detail = {}, .cap = std::move(refused.cap), .agent = agent.agent.str()}};
    }
    co_return std::unexpected{Refusal{.code = RefusalCode::overloaded,
                                      .detail = "the policy changed faster than it could be applied",
                                      .cap = {},
                                      .agent = proven.agent->agent.str()}};
}

void SpendAuthorizer::Impl::record(const SpendRequest& request, const Proven& proven, RefusalCode code,
                                   Usdc amount) {
    ledger.record_refusal({.transaction = TransactionId::generate(),
                           .agent = proven.agent->agent,
                           .caid = proven.token.caid,
                           .code = code,
                           .amount = amount,
                           .policy_version = proven.agent->policy_version,
                           .jti = proven.token.jti,
                           .ref = proven.token.ref,
                           .host = request.host.str(),
                           .method = request.method,
                           .model = model_of(request),
                           .at = clock.now()});
}

}  // namespace nomiqon::service
