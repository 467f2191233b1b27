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

using Price = std::expected<CallPrice, RefusalCode>;

Price price_of(const metering::RouteTable& routes, const SpendRequest& request) {
    const auto flat = request.way == Way::tunnel ? routes.price_of_tunnel(request.host, request.port)
                                                 : routes.price_of_plain_request(request.host, request.port);
    if (!flat) return std::unexpected{flat.error()};
    return CallPrice{.bound = *flat};
}

Usdc bound_of(const Price& price) {
    return price ? price->bound : Usdc{};
}
std::string model_of(const Price& price) {
    return price ? price->model : std::string{};
}

// How much is asked to be held for a request, and what its cost teaches the next ones.
struct Hold {
    std::optional<Usdc> typical;
    Usdc overrun_limit;
    std::string kind;  // of TypicalCosts; empty: it teaches nothing
};

// What stays with a request from its token on.
struct Proven {
    std::shared_ptr<const token::SpendToken> token;
    std::shared_ptr<const KnownAgent> agent;
};

}  // namespace

// Reservation
// ---------------------------------------------------------------------------------------------------------

Reservation::Reservation(Reservation&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)),
      held_(std::move(other.held_)),
      bound_(other.bound_),
      lesson_(std::move(other.lesson_)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
    if (this != &other) {
        settle_as_unknown();
        ledger_ = std::exchange(other.ledger_, nullptr);
        held_ = std::move(other.held_);
        bound_ = other.bound_;
        lesson_ = std::move(other.lesson_);
    }
    return *this;
}

Reservation::~Reservation() {
    settle_as_unknown();
}

void Reservation::settle(Usdc amount, Settled how) {
    if (ledger_ == nullptr) return;
    end(ledger::Ending::settled, amount, false, {}, std::move(how));
    if (lesson_.costs) lesson_.costs->learn(lesson_.kind, bound_, amount);
}
void Reservation::settle_in_full(Settled how) {
    end(ledger::Ending::settled, bound_, false, {}, std::move(how));
}
void Reservation::settle_as_unknown(Settled how) {
    end(ledger::Ending::settled, bound_, true, {}, std::move(how));
}
void Reservation::release(RefusalCode why) {
    end(ledger::Ending::released, Usdc{}, false, std::string{info(why).name}, {});
}

void Reservation::end(ledger::Ending ending, Usdc amount, bool unknown, std::string reason, Settled how) {
    if (ledger::Ledger* ledger = std::exchange(ledger_, nullptr)) {
        ledger->end({.transaction = held_.transaction,
                     .agent = held_.agent,
                     .day = held_.day,
                     .ending = ending,
                     .amount = amount,
                     .unknown = unknown,
                     .reason = std::move(reason),
                     .model = std::move(how.model),
                     .basis = std::move(how.basis)});
    }
}

// Admission
// ---------------------------------------------------------------------------------------------------------

struct Admission::Parts {
    SpendRequest request;
    Proven proven;
};

Admission::Admission(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Admission::Admission(Admission&&) noexcept = default;
Admission& Admission::operator=(Admission&&) noexcept = default;
Admission::~Admission() = default;

const AgentId& Admission::agent() const {
    return parts_->proven.agent->agent;
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
    std::expected<std::shared_ptr<const token::SpendToken>, Refusal> token_of(
        const SpendRequest& request) const;
    asio::awaitable<std::expected<Proven, Refusal>> prove(const SpendRequest& request);
    asio::awaitable<std::expected<Proven, Refusal>> prove_bound(const SpendRequest& request);
    std::optional<RefusalCode> decide(const KnownAgent& agent, const SpendRequest& request,
                                      const CallPrice* price) const;
    Hold hold_of(const metering::RouteTable& table, const SpendRequest& request, const CallPrice& price,
                 const AgentId& agent) const;
    asio::awaitable<std::expected<Reservation, Refusal>> reserve(const SpendRequest& request, Proven proven,
                                                                 Price price);
    asio::awaitable<std::optional<Refusal>> refuse_early(const SpendRequest& request, Proven& proven);
    void record(const SpendRequest& request, const Proven& proven, RefusalCode code, const Price& price);

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
    auto proven = co_await impl_->prove_bound(request);
    if (!proven) co_return std::unexpected{std::move(proven.error())};
    Price price = price_of(*impl_->routes.load(), request);
    co_return co_await impl_->reserve(request, std::move(*proven), std::move(price));
}

asio::awaitable<std::expected<Admission, Refusal>> SpendAuthorizer::admit(SpendRequest request) {
    auto proven = co_await impl_->prove_bound(request);
    if (!proven) co_return std::unexpected{std::move(proven.error())};
    auto refusal = co_await impl_->refuse_early(request, *proven);
    if (refusal) co_return std::unexpected{std::move(*refusal)};
    co_return Admission{std::make_unique<Admission::Parts>(std::move(request), std::move(*proven))};
}

asio::awaitable<std::expected<Reservation, Refusal>> SpendAuthorizer::reserve(
    Admission admission, std::expected<CallPrice, RefusalCode> price) {
    Admission::Parts& parts = *admission.parts_;
    co_return co_await impl_->reserve(parts.request, std::move(parts.proven), std::move(price));
}

asio::awaitable<std::expected<Usdc, Refusal>> SpendAuthorizer::affordable(const Admission& admission) {
    const Proven& proven = admission.parts_->proven;
    const token::SpendToken& token = *proven.token;
    auto left = co_await impl_->ledger.affordable({.agent = proven.agent->agent,
                                                   .caid = token.caid,
                                                   .jti = token.jti,
                                                   .token_exp = token.exp,
                                                   .token_max = token.max});
    if (!left) co_return std::unexpected{refusal_of(left.error())};
    co_return *left;
}

asio::awaitable<std::expected<std::shared_ptr<const token::SpendToken>, Refusal>>
SpendAuthorizer::check_token(SpendRequest request) {
    auto proven = co_await impl_->prove(request);
    if (!proven) co_return std::unexpected{std::move(proven.error())};
    const token::SpendToken& token = *proven->token;

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
        impl_->record(request, *proven, refusal->code, CallPrice{});
        refusal->agent = proven->agent->agent.str();
        co_return std::unexpected{std::move(*refusal)};
    }
    co_return std::move(proven->token);
}

// A connection's own token was verified at its CONNECT, and all that can change since is that it expires.
std::expected<std::shared_ptr<const token::SpendToken>, Refusal> SpendAuthorizer::Impl::token_of(
    const SpendRequest& request) const {
    const std::int64_t now = unix_seconds(clock.now());
    if (request.of_connect) {
        if (auto expired = token::check_expiry(*request.of_connect, now))
            return std::unexpected{std::move(*expired)};
        return request.of_connect;
    }
    auto token = token::verify(request.token, {.now = now, .audience = options.audience});
    if (!token) return std::unexpected{std::move(token.error())};
    return std::make_shared<const token::SpendToken>(std::move(*token));
}

// Token, its bearer, and the agent that it belongs to.
asio::awaitable<std::expected<Proven, Refusal>> SpendAuthorizer::Impl::prove(const SpendRequest& request) {
    auto signed_token = token_of(request);
    if (!signed_token) co_return std::unexpected{std::move(signed_token.error())};
    auto token = std::move(*signed_token);
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
    co_return Proven{std::move(token), std::move(*agent)};
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

// As `prove`, and the token is bound to this request.
asio::awaitable<std::expected<Proven, Refusal>> SpendAuthorizer::Impl::prove_bound(
    const SpendRequest& request) {
    auto proven = co_await prove(request);
    if (!proven) co_return proven;
    const auto check = request.of_connect ? token::check_inner_binding : token::check_binding;
    if (auto mismatch = check(*proven->token, bound_request(request))) {
        record(request, *proven, mismatch->code, CallPrice{});
        mismatch->agent = proven->agent->agent.str();
        co_return std::unexpected{std::move(*mismatch)};
    }
    co_return proven;
}

// `price` is null while it isn't known: nothing can be said of the model then.
std::optional<RefusalCode> SpendAuthorizer::Impl::decide(const KnownAgent& agent, const SpendRequest& request,
                                                         const CallPrice* price) const {
    if (!agent.policy) return agent.unreadable;
    policy::Request asked{.scheme = request.scheme,
                          .host = request.host,
                          .port = request.port,
                          .method = request.method,
                          .path = request.path};
    const Time now = clock.now();
    if (price == nullptr) return agent.policy->decide(asked, now);
    asked.model = price->model;
    asked.model_due = !price->uses_no_model;
    auto refusal = agent.policy->decide(asked, now);
    for (const std::string& model : price->other_models) {
        if (refusal) break;
        asked.model = model;
        refusal = agent.policy->decide(asked, now);
    }
    return refusal;
}

// Only a metered price can turn out lower than its bound. A flat one is owed, or nothing is: holding less of
// it would be an overrun for sure, and the answers that cost nothing say nothing of the next one.
Hold SpendAuthorizer::Impl::hold_of(const metering::RouteTable& table, const SpendRequest& request,
                                    const CallPrice& price, const AgentId& agent) const {
    if (!price.metered) return {};
    const std::optional<Usdc> limit = table.overrun_limit(request.host, request.port);
    if (!limit) return {};
    std::string kind = TypicalCosts::kind(agent, request.host.str(), price.model);
    const std::optional<Usdc> typical = typical_costs->typical(kind, price.bound);
    return {.typical = typical, .overrun_limit = typical ? *limit : Usdc{}, .kind = std::move(kind)};
}

namespace {

// Of what is asked of the ledger, that which doesn't depend on the price.
ledger::ReserveCommand command_of(const SpendRequest& request, const Proven& proven,
                                  const TransactionId& transaction) {
    const token::SpendToken& token = *proven.token;
    return {.transaction = transaction,
            .request = request.id,
            .agent = proven.agent->agent,
            .caid = token.caid,
            .policy_version = proven.agent->policy_version,
            .decision = {},
            .amount = {},
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
            .model = {}};
}

}  // namespace

// What the policy refuses whatever the request's body says. The ledger confirms it, under the version that it
// holds, and burns the token's id.
asio::awaitable<std::optional<Refusal>> SpendAuthorizer::Impl::refuse_early(const SpendRequest& request,
                                                                            Proven& proven) {
    const TransactionId transaction = TransactionId::generate();
    for (int stale = 0; stale < max_stale_answers; ++stale) {
        const std::optional<RefusalCode> decision = decide(*proven.agent, request, nullptr);
        if (!decision) co_return std::nullopt;
        auto command = command_of(request, proven, transaction);
        command.decision = decision;
        auto answer = co_await ledger.reserve(std::move(command));
        Refusal refusal{.code = *decision};
        if (!answer) {
            refusal = refusal_of(answer.error());
        } else if (const auto* newer = std::get_if<ledger::StalePolicy>(&*answer)) {
            proven.agent = agents.put(proven.token->caid, newer->current);
            continue;
        } else if (auto* refused = std::get_if<ledger::ReserveRefused>(&*answer)) {
            refusal.code = refused->code;
            refusal.cap = std::move(refused->cap);
        }
        record(request, proven, refusal.code, CallPrice{});
        refusal.agent = proven.agent->agent.str();
        co_return refusal;
    }
    co_return Refusal{.code = RefusalCode::overloaded,
                      .detail = "the policy changed faster than it could be applied",
                      .cap = {},
                      .agent = proven.agent->agent.str()};
}

// Policy and price say what they think; the ledger decides, under the policy version that it holds.
asio::awaitable<std::expected<Reservation, Refusal>> SpendAuthorizer::Impl::reserve(
    const SpendRequest& request, Proven proven, Price price) {
    const token::SpendToken& token = *proven.token;
    const auto table = routes.load();
    const Hold hold = price ? hold_of(*table, request, *price, proven.agent->agent) : Hold{};
    const auto wait_until = std::chrono::steady_clock::now() + options.wait;
    const TransactionId transaction = TransactionId::generate();

    for (int stale = 0; stale < max_stale_answers; ++stale) {
        const KnownAgent& agent = *proven.agent;
        std::optional<RefusalCode> decision = decide(agent, request, price ? &*price : nullptr);
        if (!decision && !price) decision = price.error();
        auto command = command_of(request, proven, transaction);
        command.decision = decision;
        command.amount = bound_of(price);
        command.typical = hold.typical;
        command.overrun_limit = hold.overrun_limit;
        command.wait_until = wait_until;
        command.model = model_of(price);
        auto answer = co_await ledger.reserve(std::move(command));
        if (!answer) {
            Refusal refusal = refusal_of(answer.error());
            refusal.agent = agent.agent.str();
            record(request, proven, refusal.code, price);
            co_return std::unexpected{std::move(refusal)};
        }
        if (auto* held = std::get_if<ledger::Reserved>(&*answer)) {
            co_return Reservation{ledger,
                                  std::move(*held),
                                  bound_of(price),
                                  {.costs = hold.kind.empty() ? nullptr : typical_costs, .kind = hold.kind}};
        }
        if (const auto* newer = std::get_if<ledger::StalePolicy>(&*answer)) {
            proven.agent = agents.put(token.caid, newer->current);
            continue;
        }
        auto& refused = std::get<ledger::ReserveRefused>(*answer);
        record(request, proven, refused.code, price);
        co_return std::unexpected{Refusal{
            .code = refused.code, .detail = {}, .cap = std::move(refused.cap), .agent = agent.agent.str()}};
    }
    co_return std::unexpected{Refusal{.code = RefusalCode::overloaded,
                                      .detail = "the policy changed faster than it could be applied",
                                      .cap = {},
                                      .agent = proven.agent->agent.str()}};
}

void SpendAuthorizer::Impl::record(const SpendRequest& request, const Proven& proven, RefusalCode code,
                                   const Price& price) {
    ledger.record_refusal({.transaction = TransactionId::generate(),
                           .agent = proven.agent->agent,
                           .caid = proven.token->caid,
                           .code = code,
                           .amount = bound_of(price),
                           .policy_version = proven.agent->policy_version,
                           .jti = proven.token->jti,
                           .ref = proven.token->ref,
                           .host = request.host.str(),
                           .method = request.method,
                           .model = model_of(price),
                           .at = clock.now()});
}

}  // namespace nomiqon::service
