#include "plain.h"

#include <utility>

namespace nomiqon::proxy {

namespace asio = boost::asio;

asio::awaitable<bool> serve_plain(Session& session, ClientRequest request) {
    const RequestHead& head = request.head;
    Worker& worker = session.worker();
    AnswerSite site{.request_id = request.request_id,
                    .host = request.target.to_string(),
                    .inside = request.inside,
                    .to_head = head.method == "HEAD",
                    .may_keep = head.keep_alive && head.framing().kind == BodyKind::none};
    const auto length = check_declared_length(head.framing(), {.bytes = worker.shared.limits.body_bytes});
    if (!length) co_return co_await session.refuse(request_refusal(length.error()), std::move(site));

    auto spend = spend_request(request.request_id, request.target, request.credentials);
    spend.way = service::Way::plain;
    spend.scheme = Scheme::http;
    spend.method = head.method;
    spend.path = head.target.path();
    spend.of_connect = request.of_connect;
    auto authorized = co_await worker.shared.authorizer.authorize(std::move(spend));
    if (!authorized) co_return co_await session.refuse(std::move(authorized.error()), std::move(site));

    session.mark_proven();
    Handling handling{.meter = metering::make_flat_meter(authorized->bound())};
    co_return co_await run_exchange(session, std::move(request), std::move(handling), std::move(*authorized));
}

}  // namespace nomiqon::proxy
