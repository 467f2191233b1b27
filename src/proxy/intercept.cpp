#include "intercept.h"

#include <openssl/err.h>

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <utility>

namespace nomiqon::proxy {

namespace asio = boost::asio;

// TLS with the client
// ---------------------------------------------------------------------------------------------------------

namespace {

/// Hands `start` a function that any thread may call once, and resumes on the worker with what it was given.
template <class Result, class Start>
asio::awaitable<Result> elsewhere(Worker& worker, Start start) {
    co_return co_await asio::async_initiate<decltype(asio::use_awaitable), void(Result)>(
        [&worker, &start](auto handler) {
            start([handler = std::move(handler),
                   work = asio::make_work_guard(worker.io)](Result result) mutable {
                asio::post(work.get_executor(),
                           [handler = std::move(handler), result = std::move(result)]() mutable {
                               std::move(handler)(std::move(result));
                           });
            });
        },
        asio::use_awaitable);
}

}  // namespace

asio::awaitable<std::expected<tls::SslPtr, std::string>> server_tls(Worker& worker, HostName host) {
    if (worker.shared.tls.leaves == nullptr) co_return std::unexpected(std::string("no TLS is set up"));
    auto context = worker.shared.tls.leaves->find(host);
    if (!context) {
        auto minted = co_await elsewhere<tls::LeafCache::Result>(
            worker, [&](auto done) { worker.shared.tls.leaves->request(host, std::move(done)); });
        if (!minted) co_return std::unexpected(std::string(tls::to_string(minted.error())));
        context = std::move(*minted);
    }
    tls::SslPtr ssl(SSL_new(context.get()));
    if (!ssl) co_return std::unexpected(std::string("no memory for TLS"));
    SSL_set_accept_state(ssl.get());
    co_return ssl;
}

void log_failed_handshake(Worker& worker, const Channel& client, const HostName& host, bool late) {
    worker.counters.handshakes_failed.add();
    const unsigned long error = ERR_peek_last_error();
    const char* name = SSL_get_servername(client.ssl(), TLSEXT_NAMETYPE_host_name);
    if (name != nullptr && !iequals(name, host.str())) {
        return worker.log_refusal({RefusalCode::sni_mismatch, "another server name than the CONNECT's"}, "-",
                                  host.str());
    }
    std::string why = late ? "no TLS handshake in time" : "the client left during the TLS handshake";
    if (error != 0) {
        const char* reason = ERR_reason_error_string(error);
        why = reason != nullptr ? reason : "an error of TLS";
        const int code = ERR_GET_REASON(error);
        if (code == SSL_R_TLSV1_ALERT_UNKNOWN_CA || code == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
            code == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE) {
            why += ": the client does not trust the gateway's CA (`nomiqon ca export`)";
        }
    }
    worker.shared.log->info("handshake with a client for {} failed: {}", host.str(), why);
}

// One request
// ---------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view clamp_field = "X-Nomiqon-Clamp";
/// Pricing takes up to 0.1 ms a kilobyte.
constexpr std::size_t long_body = 32UL * 1024;

/// What a request costs and how it is handled; or the refusal that its body led to.
struct Priced {
    std::expected<service::CallPrice, RefusalCode> price = std::unexpected(RefusalCode::price_unknown);
    Handling handling;
};

/// As `meter.quote`. What takes long is done by another thread than that of the worker's connections.
asio::awaitable<std::expected<metering::Quote, Refusal>> quote_for(Worker& worker,
                                                                   const metering::Meter& meter,
                                                                   const metering::Call& call,
                                                                   const metering::MeterTerms& terms) {
    const bool coded = std::ranges::any_of(
        call.fields, [](const metering::Field& field) { return iequals(field.name, "Content-Encoding"); });
    if (call.body.size() < long_body && !coded) co_return meter.quote(call, terms);

    std::optional<std::expected<metering::Quote, Refusal>> quote;
    const auto problem = co_await elsewhere<std::optional<std::exception_ptr>>(worker, [&](auto done) {
        asio::post(worker.shared.aside, [&, done = std::move(done)]() mutable {
            std::optional<std::exception_ptr> thrown;
            try {
                quote = meter.quote(call, terms);
            } catch (...) {
                thrown = std::current_exception();  // the coroutine throws it on
            }
            done(std::move(thrown));
        });
    });
    if (problem) std::rethrow_exception(*problem);
    co_return std::move(*quote);
}

class InterceptedRequest {
  public:
    InterceptedRequest(Session& session, ClientRequest request)
        : session_(session),
          worker_(session.worker()),
          request_(std::move(request)),
          routes_(worker_.shared.authorizer.routes()),
          route_(routes_->match(request_.target.host, request_.target.port)) {}

    asio::awaitable<bool> run();

  private:
    asio::awaitable<std::expected<service::Admission, Refusal>> admit();
    asio::awaitable<std::expected<Priced, Refusal>> price(const service::Admission& admission);
    asio::awaitable<std::expected<Priced, Refusal>> read_meter(const metering::Meter& meter,
                                                               const service::Admission& admission);
    asio::awaitable<std::expected<std::string, Refusal>> read_body();
    [[nodiscard]] Handling handling_by(std::unique_ptr<metering::AnswerMeter> meter) const;
    Priced flat_price() const;
    Priced take_quote(metering::Quote quote, std::string body);
    asio::awaitable<bool> run_upgrade_request(service::Admission admission);
    [[nodiscard]] std::expected<Usdc, RefusalCode> price_unless_upgraded() const;
    [[nodiscard]] metering::Call call_of(std::span<const metering::Field> fields,
                                         std::string_view body) const;
    [[nodiscard]] AnswerSite site() const;
    [[nodiscard]] bool is_priced_flat() const;

    Session& session_;
    Worker& worker_;
    ClientRequest request_;
    const std::shared_ptr<const metering::RouteTable> routes_;
    const Route& route_;
    std::unique_ptr<BufferPermit> room_;
    bool body_read_ = false;
    bool client_left_ = false;
};

AnswerSite InterceptedRequest::site() const {
    const RequestHead& head = request_.head;
    return {.request_id = request_.request_id,
            .host = request_.target.to_string(),
            .inside = true,
            .to_head = head.method == "HEAD",
            .may_keep =
                head.keep_alive && !request_.last && (body_read_ || head.framing().kind == BodyKind::none)};
}

/// token → policy → body → price → reserve. The body of a request that the policy refuses is never read.
asio::awaitable<bool> InterceptedRequest::run() {
    const auto length =
        check_declared_length(request_.head.framing(), {.bytes = worker_.shared.limits.body_bytes});
    if (!length) co_return co_await session_.refuse(request_refusal(length.error()), site());
    auto admission = co_await admit();
    if (!admission) co_return co_await session_.refuse(std::move(admission.error()), site());
    session_.mark_proven();
    if (request_.head.wants_upgrade && (route_.upgrade || !route_.meter.empty())) {
        co_return co_await run_upgrade_request(std::move(*admission));
    }

    auto priced = co_await price(*admission);
    if (client_left_) co_return false;
    if (!priced) {
        priced.error().agent = admission->agent().str();
        co_return co_await session_.refuse(std::move(priced.error()), site());
    }
    auto reservation =
        co_await worker_.shared.authorizer.reserve(std::move(*admission), std::move(priced->price));
    if (!reservation) co_return co_await session_.refuse(std::move(reservation.error()), site());
    co_return co_await run_exchange(session_, std::move(request_), std::move(priced->handling),
                                    std::move(*reservation));
}

asio::awaitable<std::expected<service::Admission, Refusal>> InterceptedRequest::admit() {
    auto spend = spend_request(request_.request_id, request_.target, request_.credentials);
    spend.way = service::Way::plain;
    spend.scheme = Scheme::https;
    spend.method = request_.head.method;
    spend.path = request_.head.target.path();
    spend.of_connect = request_.of_connect;
    co_return co_await worker_.shared.authorizer.admit(std::move(spend));
}

/// Without a meter, or on a path whose price the route says itself.
bool InterceptedRequest::is_priced_flat() const {
    return route_.meter.empty() || metering::RouteTable::prices_path(route_, request_.head.target.path());
}

asio::awaitable<std::expected<Priced, Refusal>> InterceptedRequest::price(
    const service::Admission& admission) {
    if (is_priced_flat()) co_return flat_price();
    const metering::Meter* meter = metering::find_meter(route_.meter);
    if (meter == nullptr) co_return Priced{};
    co_return co_await read_meter(*meter, admission);
}

Priced InterceptedRequest::flat_price() const {
    const auto price = metering::RouteTable::price_of_inner_request(route_);
    if (!price) return {};
    return {.price = service::CallPrice{.bound = *price},
            .handling = handling_by(metering::make_flat_meter(*price))};
}

/// With what the route has for every request.
Handling InterceptedRequest::handling_by(std::unique_ptr<metering::AnswerMeter> meter) const {
    Handling handling{.meter = std::move(meter)};
    handling.routes = routes_;
    handling.credential = route_.credential ? &*route_.credential : nullptr;
    return handling;
}

asio::awaitable<std::expected<Priced, Refusal>> InterceptedRequest::read_meter(
    const metering::Meter& meter, const service::Admission& admission) {
    room_ = std::make_unique<BufferPermit>(worker_.shared.body_room, admission.agent());
    auto body = co_await read_body();
    if (!body) co_return std::unexpected(std::move(body.error()));
    auto terms = routes_->meter_terms(route_);
    terms.decoded_bytes = worker_.shared.limits.body_bytes;
    terms.answer_bytes = worker_.shared.limits.answer_bytes;
    const HeaderField* clamp = find_field(request_.head.headers, clamp_field);
    if (clamp != nullptr && clamp->value == "1") {
        auto affordable = co_await worker_.shared.authorizer.affordable(admission);
        if (!affordable) co_return std::unexpected(std::move(affordable.error()));
        terms.affordable = *affordable;
    }

    const auto fields = metering_fields(request_.head.headers);
    auto quote = co_await quote_for(worker_, meter, call_of(fields, *body), terms);
    if (!quote && quote.error().code == RefusalCode::price_unknown) {
        worker_.shared.log->info("{} price_unknown at {}: {}", request_.request_id.str(),
                                 request_.target.to_string(), quote.error().detail);
        co_return Priced{};
    }
    if (!quote) co_return std::unexpected(std::move(quote.error()));
    co_return take_quote(std::move(*quote), std::move(*body));
}

metering::Call InterceptedRequest::call_of(std::span<const metering::Field> fields,
                                           std::string_view body) const {
    const std::string_view target = request_.head.target.path_and_query;
    const std::string_view path = request_.head.target.path();
    const std::string_view query =
        path.size() < target.size() ? target.substr(path.size() + 1) : std::string_view{};
    return {.method = request_.head.method, .path = path, .query = query, .fields = fields, .body = body};
}

Priced InterceptedRequest::take_quote(metering::Quote quote, std::string body) {
    Priced priced{.price = service::CallPrice{.bound = quote.bound,
                                              .model = std::move(quote.model),
                                              .other_models = std::move(quote.other_models),
                                              .metered = !quote.free,
                                              .uses_no_model = quote.free},
                  .handling = handling_by(std::move(quote.answer))};
    Handling& handling = priced.handling;
    handling.metered = !quote.free;
    handling.decoded_body = quote.body.has_value();
    handling.room = std::move(room_);
    handling.body = quote.body ? std::move(*quote.body) : std::move(body);
    if (!quote.free)
        handling.codings = quote.identity_only ? AnswerCodings::identity : AnswerCodings::readable;
    if (quote.clamped_to)
        handling.tell.push_back({"X-Nomiqon-Clamped-To", std::to_string(*quote.clamped_to)});
    return priced;
}

/// The whole body, within its own limit and that of all bodies together.
asio::awaitable<std::expected<std::string, Refusal>> InterceptedRequest::read_body() {
    const auto& limits = worker_.shared.limits;
    BodyReader reader(request_.head.framing(), {.bytes = limits.body_bytes});
    std::string body;
    const BodyFraming framing = request_.head.framing();
    if (framing.kind == BodyKind::length) {
        if (!room_->grow_to(framing.length)) {
            co_return std::unexpected(Refusal{RefusalCode::overloaded, "limits.bufferedBytes"});
        }
        body.reserve(std::min<std::size_t>(framing.length, 1024UL * 1024));
    }
    if (request_.head.expect_continue && !reader.complete() && session_.unread.empty()) {
        session_.arm(limits.idle_timeout);
        co_await session_.send(session_.client(), continue_head);
    }
    while (!reader.complete()) {
        if (session_.unread.empty()) {
            session_.arm(limits.idle_timeout);
            const bool received = co_await session_.receive();
            if (!received) {
                client_left_ = !session_.expired();
                co_return std::unexpected(
                    Refusal{RefusalCode::bad_request, "the request's body ended early or stalled"});
            }
        }
        std::string_view rest = session_.unread;
        while (!rest.empty() && !reader.complete()) {
            const auto step = reader.read(rest);
            if (!step) co_return std::unexpected(request_refusal(step.error()));
            body += step->data;
            rest.remove_prefix(step->consumed);
        }
        session_.unread.erase(0, session_.unread.size() - rest.size());
        if (!room_->grow_to(body.size())) {
            co_return std::unexpected(Refusal{RefusalCode::overloaded, "limits.bufferedBytes"});
        }
    }
    session_.disarm();
    body_read_ = true;
    co_return body;
}

/// What the request costs at a provider that doesn't mind its Upgrade: for who hopes to pay less by one.
std::expected<Usdc, RefusalCode> InterceptedRequest::price_unless_upgraded() const {
    if (is_priced_flat()) return metering::RouteTable::price_of_inner_request(route_).value_or(Usdc{});
    const metering::Meter* meter = metering::find_meter(route_.meter);
    const auto fields = metering_fields(request_.head.headers);
    const auto quote = meter == nullptr ? std::unexpected(Refusal{RefusalCode::price_unknown})
                                        : meter->quote(call_of(fields, {}), routes_->meter_terms(route_));
    if (!quote || quote->free) return Usdc{};  // none of the meter's paid calls
    return std::unexpected(RefusalCode::price_unknown);
}

/// A connection that changes its protocol can't be read any more, so it is sold as a whole, where the route
/// says for how much and within which bounds (rule 4).
asio::awaitable<bool> InterceptedRequest::run_upgrade_request(service::Admission admission) {
    auto price = metering::RouteTable::price_of_upgrade(route_);
    std::expected<service::CallPrice, RefusalCode> call = std::unexpected(RefusalCode::price_unknown);
    if (price && request_.head.framing().kind == BodyKind::none && is_websocket(request_.head.headers)) {
        if (const auto usual = price_unless_upgraded()) {
            call = service::CallPrice{.bound = std::max(*price, *usual)};
        }
    }
    auto reservation = co_await worker_.shared.authorizer.reserve(std::move(admission), std::move(call));
    if (!reservation) co_return co_await session_.refuse(std::move(reservation.error()), site());
    Handling handling = handling_by(metering::make_flat_meter(reservation->bound()));
    handling.upgrade =
        UpgradeBounds{.time = *route_.price->max_time, .bytes = *route_.price->max_bytes, .price = *price};
    co_return co_await run_exchange(session_, std::move(request_), std::move(handling),
                                    std::move(*reservation));
}

}  // namespace

asio::awaitable<bool> serve_intercepted(Session& session, ClientRequest request) {
    InterceptedRequest story(session, std::move(request));
    co_return co_await story.run();
}

}  // namespace nomiqon::proxy
