#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "exchange.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

constexpr std::size_t body_piece = 64UL * 1024;

}  // namespace

std::string_view Exchange::upgrade_field() const {
    const HeaderField* field = handling_.upgrade ? find_field(request_.head.headers, "Upgrade") : nullptr;
    return field != nullptr ? std::string_view(field->value) : std::string_view{};
}

BodyFraming Exchange::outward_framing() const {
    if (!handling_.body) return request_.head.framing();
    if (request_.head.framing().kind == BodyKind::none) return {};
    return {.kind = BodyKind::length, .length = handling_.body->size()};
}

/// Sends the head, with as much of the body as is there, on a kept connection or a new one. What a kept one
/// may have taken is never sent again: nobody knows whether the provider saw and billed it.
asio::awaitable<std::optional<Refusal>> Exchange::send_head() {
    outgoing_ = upstream_request_head(request_.head, {.target = request_.target,
                                                      .scheme = request_.scheme,
                                                      .body = outward_framing(),
                                                      .credential = handling_.credential,
                                                      .agent = reservation_.agent().str(),
                                                      .decoded_body = handling_.decoded_body,
                                                      .codings = handling_.codings,
                                                      .upgrade = upgrade_field()});
    if (handling_.body) {
        outgoing_ += std::string_view(*handling_.body).substr(0, body_piece);
    } else if (auto problem = take_body()) {
        co_return problem;
    }

    auto kept =
        handling_.upgrade ? std::nullopt : worker_.pool.take(request_.scheme, request_.target, worker_.now());
    if (kept) {
        session_.upstream() = std::move(*kept);
        auto problem = co_await send_first(session_.upstream());
        if (!problem || went_out_) co_return problem;
        session_.upstream().close();
    }
    auto failure = co_await open_upstream(session_, session_.upstream(), request_.scheme, request_.target,
                                          reservation_.agent());
    if (failure) co_return failure;
    co_return co_await send_first(session_.upstream());
}

asio::awaitable<std::optional<Refusal>> Exchange::send_first(Channel& channel) {
    arm(worker_.shared.timeouts.idle_timeout);
    const std::size_t sent = co_await session_.send(channel, outgoing_);
    went_out_ = sent > 0;
    if (sent == outgoing_.size()) co_return std::nullopt;
    co_return Refusal{RefusalCode::upstream_unreachable, "sending the request failed"};
}

/// Moves what is there of the request's body from the client's bytes to `outgoing_`.
std::optional<Refusal> Exchange::take_body() {
    const BodyFraming framing = request_.head.framing();
    std::string_view rest = session_.unread;
    while (!rest.empty() && !body_.complete()) {
        const auto step = body_.read(rest);
        if (!step) return request_refusal(step.error());
        append_body(outgoing_, framing, step->data);
        rest.remove_prefix(step->consumed);
        if (step->complete && framing.kind == BodyKind::chunked)
            outgoing_ += encode_last_chunk(body_.trailers());
    }
    session_.unread.erase(0, session_.unread.size() - rest.size());
    return std::nullopt;
}

asio::awaitable<void> Exchange::start_upload() {
    worker_.counters.bytes_to_upstream.add(outgoing_.size());
    if (handling_.credential != nullptr) wipe(outgoing_);
    std::string().swap(outgoing_);
    if (handling_.body ? handling_.body->size() <= body_piece : body_.complete()) {
        drop_body();
        upload_done_ = true;
        arm(worker_.shared.timeouts.response_timeout);
        co_return;
    }
    if (!handling_.body && request_.head.expect_continue && body_.bytes() == 0) {
        co_await session_.send(session_.client(), continue_head);
    }
    uploading_ = true;
    asio::co_spawn(worker_.io, handling_.body ? upload_held() : upload(),
                   [self = shared_from_this(),
                    session = session_.shared_from_this()](const std::exception_ptr& problem) {
                       self->uploading_ = false;
                       if (problem)
                           self->upload_failed({RefusalCode::overloaded, "an exception in the upload"});
                       self->upload_ended_.cancel();
                   });
}

void Exchange::drop_body() {
    if (handling_.body) std::string().swap(*handling_.body);
    handling_.room.reset();
}

/// The rest of a body that was read for its price. The client isn't needed for it any more.
asio::awaitable<void> Exchange::upload_held() {
    std::string_view rest = std::string_view(*handling_.body).substr(body_piece);
    while (!rest.empty() && !upload_abandoned_) {
        arm(worker_.shared.timeouts.idle_timeout);
        const auto piece = rest.substr(0, body_piece);
        const std::size_t sent = co_await session_.send(session_.upstream(), piece);
        worker_.counters.bytes_to_upstream.add(sent);
        if (sent < piece.size()) co_return;  // as in `upload`
        rest.remove_prefix(sent);
    }
    if (!rest.empty()) co_return;
    drop_body();
    upload_done_ = true;
    arm(answer_ ? worker_.shared.timeouts.idle_timeout : worker_.shared.timeouts.response_timeout);
}

asio::awaitable<void> Exchange::upload() {
    while (!upload_abandoned_) {
        arm(worker_.shared.timeouts.idle_timeout);
        const bool received = co_await session_.receive();
        if (upload_abandoned_) co_return;
        if (!received) {
            client_left_ = !session_.expired();
            co_return upload_failed({RefusalCode::bad_request, "the request's body ended early or stalled"});
        }
        if (auto problem = take_body()) co_return upload_failed(std::move(*problem));
        arm(worker_.shared.timeouts.idle_timeout);
        const std::size_t sent = co_await session_.send(session_.upstream(), outgoing_);
        worker_.counters.bytes_to_upstream.add(sent);
        // An upstream that takes no more may still have an answer, which says why.
        if (sent < outgoing_.size()) co_return;
        outgoing_.clear();
        if (body_.complete()) {
            upload_done_ = true;
            const auto& timeouts = worker_.shared.timeouts;
            arm(answer_ ? timeouts.idle_timeout : timeouts.response_timeout);
            co_return;
        }
    }
}

/// What is wrong with the request's body ends the exchange: the answer's coroutine finds it when it wakes up.
void Exchange::upload_failed(Refusal problem) {
    upload_problem_ = std::move(problem);
    boost::system::error_code ignored;
    session_.upstream().socket().cancel(ignored);
}

asio::awaitable<void> Exchange::end_upload(bool may_finish) {
    if (uploading_ && !may_finish) {
        upload_abandoned_ = true;
        session_.upstream().close();
        boost::system::error_code ignored;
        session_.client().socket().cancel(ignored);
    }
    while (uploading_)
        co_await upload_ended_.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace nomiqon::proxy
