// An agent's identities, its funding, and how its money stands.

#include "handlers.h"
#include "input.h"
#include "nomiqon/core/caid.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/usdc.h"
#include "nomiqon/token/spend_token.h"
#include "nomiqon/wallet/identity.h"

namespace nomiqon::admin {

Awaitable<Outcome> add_caid(const Context& context, const ApiRequest& request) {
    const auto text = require_text(request.body, "publicKey", {});
    if (!text) co_return std::unexpected(text.error());
    const auto caid = wallet::parse_registrable(*text);
    if (!caid) co_return std::unexpected(validation_error(caid.error(), "/publicKey"));
    auto answer = co_await write(context, request, "add_caid",
                                 {{"agent", request.path_ids.at(0)}, {"caid", caid->str()}}, 201);
    co_return answer;
}

Awaitable<Outcome> revoke_caid(const Context& context, const ApiRequest& request) {
    const auto caid = Caid::parse(request.path_ids.at(1));
    if (!caid) co_return std::unexpected(not_found("the agent has no such identity"));
    auto answer = co_await write(context, request, "revoke_caid",
                                 {{"agent", request.path_ids.at(0)}, {"caid", caid->str()}});
    co_return answer;
}

Awaitable<Outcome> fund_agent(const Context& context, const ApiRequest& request) {
    const auto text = require_text(request.body, "amount", {});
    if (!text) co_return std::unexpected(text.error());
    const auto amount = Usdc::parse(*text);
    if (!amount || amount->is_zero()) {
        co_return std::unexpected(validation_error(
            "must be an amount of USDC above zero, with at most 9 decimals: \"25.00\"", "/amount"));
    }
    const auto reference = read_text(request.body, "reference", {.max = 128});
    if (!reference) co_return std::unexpected(reference.error());
    auto answer = co_await write(context, request, "fund_agent",
                                 {{"agent", request.path_ids.at(0)},
                                  {"amount", amount->nanos()},
                                  {"reference", reference->value_or("fund_" + new_ulid())}});
    co_return answer;
}

Awaitable<Outcome> get_spend(const Context& context, const ApiRequest& request) {
    auto spend = co_await read(context, "get_spend", {{"agent", request.path_ids.at(0)}});
    if (!spend) co_return std::unexpected(spend.error());
    co_return Answer{.data = *std::move(spend)};
}

Awaitable<Outcome> get_own_spend(const Context& context, const ApiRequest& request) {
    const token::VerifyContext verify{.now = unix_seconds(context.clock.now()),
                                      .audience = context.config.token.audience};
    const auto token = token::verify(request.bearer, verify);
    if (!token) co_return std::unexpected(from_refusal(token.error().code));
    json arguments{{"caid", token->caid.str()}, {"exp", token->exp}, {"jti", token->jti}};
    if (request.claimed_agent) arguments["claimed_agent"] = *request.claimed_agent;
    auto found = co_await read(context, "get_own_spend", std::move(arguments));
    if (!found) co_return std::unexpected(found.error());
    if (found->contains("refusal")) {
        const auto code = refusal_from_name(found->at("refusal").get_ref<const std::string&>());
        co_return std::unexpected(from_refusal(code.value_or(RefusalCode::spend_token_invalid)));
    }
    co_return Answer{.data = std::move(found->at("spend"))};
}

}  // namespace nomiqon::admin
