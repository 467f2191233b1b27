#include "plain.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <expected>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "body_framing.h"
#include "flat_price.h"
#include "forwarded_head.h"
#include "response_head.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

constexpr int max_informational = 16;
constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

/// Appends `data` to `out` as a body framed like `framing` carries it.
void append_body(std::string& out, const BodyFraming& framing, std::string_view data) {
    if (data.empty()) return;
    if (framing.kind != BodyKind::chunked) {
        out += data;
        return;
    }
    out += encode_chunk_head(data.size());
    out += data;
    out += chunk_end;
}

/// One request under way. The request's body and the answer move at the same time, in two coroutines: an
/// upstream may answer before it has read everything, and wait with reading until its answer is taken.
class PlainExchange final : public std::enable_shared_from_this<PlainExchange> {
  public:
    PlainExchange(Session& session, PlainRequest request, service::Reservation reservation)
        : session_(session),
          worker_(session.worker()),
          request_(std::move(request)),
          reservation_(std::move(reservation)),
          body_(request_.head.framing(), {.bytes = worker_.shared.limits.body_bytes}),
          upload_ended_(worker_.io, asio::steady_timer::time_point::max()) {}

    asio::awaitable<bool> run();

  private:
    // The request on its way out.
    asio::awaitable<std::optional<Refusal>> send_head();
    std::optional<Refusal> take_body();
    asio::awaitable<void> start_upload();
    asio::awaitable<void> upload();
    asio::awaitable<void> end_upload(bool may_finish);
    void upload_failed(Refusal problem);

    // The answer on its way back.
    asio::awaitable<std::expected<ResponseHead, Refusal>> read_answer_head();
    asio::awaitable<bool> upstream_readable();
    asio::awaitable<bool> relay_answer(const ResponseHead& answer);
    asio::awaitable<bool> flush_answer();
    void begin_answer(const ResponseHead& answer);
    std::expected<void, BodyProblem> take_answer(std::string_view bytes);
    std::expected<void, BodyProblem> end_of_answer();
    void deliver(std::string_view data);

    // The ending.
    void settle_whole_answer();
    asio::awaitable<bool> fail(Refusal refusal);
    void reset_client();
    [[nodiscard]] Refusal no_answer() const;
    [[nodiscard]] bool is_head() const { return request_.head.method == "HEAD"; }

    Session& session_;
    Worker& worker_;
    PlainRequest request_;
    service::Reservation reservation_;
    bool went_out_ = false;  // bytes of the request may have reached the upstream
    bool settled_ = false;

    BodyReader body_;
    std::string outgoing_;
    bool uploading_ = false;
    bool upload_done_ = false;
    bool upload_abandoned_ = false;
    bool client_left_ = false;
    std::optional<Refusal> upload_problem_;
    asio::steady_timer upload_ended_;  // never expires; cancelled as the signal

    bool answering_ = false;  // the answer's head has come
    FlatPrice price_;
    std::string received_;  // of the answer, not used yet
    std::string incoming_;  // for the client, not written yet
    BodyFraming client_framing_;
    bool client_keep_alive_ = false;
    std::optional<BodyReader> answer_body_;
    bool surplus_ = false;  // bytes behind the answer: not to be trusted with another request
};

asio::awaitable<bool> PlainExchange::run() {
    auto failure = co_await send_head();
    if (failure) co_return co_await fail(std::move(*failure));
    co_await start_upload();

    session_.watch_client(true);
    const auto answer = co_await read_answer_head();
    if (!answer) {
        session_.watch_client(false);
        co_await end_upload(false);
        co_return co_await fail(answer.error());
    }
    const bool whole = co_await relay_answer(*answer);
    session_.watch_client(false);
    co_await end_upload(whole && answer->keep_alive);

    const bool reusable = whole && upload_done_ && answer->keep_alive && !surplus_ && !worker_.draining;
    if (reusable) {
        worker_.pool.put(request_.target, std::move(session_.upstream()), worker_.now());
    } else {
        boost::system::error_code ignored;
        session_.upstream().close(ignored);
    }
    if (whole && !upload_done_) co_await session_.linger();
    co_return whole&& upload_done_&& client_keep_alive_;
}

/// Sends the head, with as much of the body as is there, on a kept connection or a new one.
asio::awaitable<std::optional<Refusal>> PlainExchange::send_head() {
    outgoing_ = upstream_request_head(
        request_.head, {.target = request_.target, .scheme = Scheme::http, .body = request_.head.framing()});
    if (auto problem = take_body()) co_return problem;

    if (auto kept = worker_.pool.take(request_.target, worker_.now())) {
        session_.upstream() = std::move(*kept);
        session_.arm(worker_.shared.timeouts.idle_timeout);
        const std::size_t sent = co_await session_.send(session_.upstream(), outgoing_);
        went_out_ = sent > 0;
        if (sent == outgoing_.size()) co_return std::nullopt;
        if (went_out_) co_return Refusal{RefusalCode::upstream_unreachable, "the kept connection broke"};
    }
    auto failure = co_await connect_upstream(worker_, session_, session_.upstream(), request_.target,
                                             reservation_.agent());
    if (failure) co_return failure;
    session_.arm(worker_.shared.timeouts.idle_timeout);
    const std::size_t sent = co_await session_.send(session_.upstream(), outgoing_);
    went_out_ = sent > 0;
    if (sent < outgoing_.size())
        co_return Refusal{RefusalCode::upstream_unreachable, "sending the request failed"};
    co_return std::nullopt;
}

/// Moves what is there of the request's body from the client's bytes to `outgoing_`.
std::optional<Refusal> PlainExchange::take_body() {
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

asio::awaitable<void> PlainExchange::start_upload() {
    worker_.counters.bytes_to_upstream.add(outgoing_.size());
    outgoing_.clear();
    if (body_.complete()) {
        upload_done_ = true;
        session_.arm(worker_.shared.timeouts.response_timeout);
        co_return;
    }
    if (request_.head.expect_continue && body_.bytes() == 0) {
        co_await session_.send(session_.client(), continue_head);
    }
    uploading_ = true;
    asio::co_spawn(worker_.io, upload(),
                   [self = shared_from_this(),
                    session = session_.shared_from_this()](const std::exception_ptr& problem) {
                       self->uploading_ = false;
                       if (problem)
                           self->upload_failed({RefusalCode::overloaded, "an exception in the upload"});
                       self->upload_ended_.cancel();
                   });
}

asio::awaitable<void> PlainExchange::upload() {
    while (!upload_abandoned_) {
        session_.arm(worker_.shared.timeouts.idle_timeout);
        const bool received = co_await session_.receive();
        if (upload_abandoned_) co_return;
        if (!received) {
            client_left_ = !session_.expired();
            co_return upload_failed({RefusalCode::bad_request, "the request's body ended early or stalled"});
        }
        if (auto problem = take_body()) co_return upload_failed(std::move(*problem));
        session_.arm(worker_.shared.timeouts.idle_timeout);
        const std::size_t sent = co_await session_.send(session_.upstream(), outgoing_);
        worker_.counters.bytes_to_upstream.add(sent);
        // An upstream that takes no more may still have an answer, which says why.
        if (sent < outgoing_.size()) co_return;
        outgoing_.clear();
        if (body_.complete()) {
            upload_done_ = true;
            const auto& timeouts = worker_.shared.timeouts;
            session_.arm(answering_ ? timeouts.idle_timeout : timeouts.response_timeout);
            co_return;
        }
    }
}

/// What is wrong with the request's body ends the exchange: the answer's coroutine finds it when it wakes up.
void PlainExchange::upload_failed(Refusal problem) {
    upload_problem_ = std::move(problem);
    boost::system::error_code ignored;
    session_.upstream().cancel(ignored);
}

asio::awaitable<void> PlainExchange::end_upload(bool may_finish) {
    if (uploading_ && !may_finish) {
        upload_abandoned_ = true;
        boost::system::error_code ignored;
        session_.upstream().close(ignored);
        session_.client().cancel(ignored);
    }
    while (uploading_)
        co_await upload_ended_.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<std::expected<ResponseHead, Refusal>> PlainExchange::read_answer_head() {
    const HeadLimits limits{.bytes = worker_.shared.limits.header_bytes,
                            .count = worker_.shared.limits.header_count};
    for (int informational = 0; informational < max_informational; ++informational) {
        ResponseHeadReader reader(limits, is_head());
        std::optional<ResponseHead> head;
        while (!head) {
            auto read = reader.read(received_);
            if (!read) co_return std::unexpected(std::move(read.error()));
            head = std::move(*read);
            if (head) break;
            if (upload_problem_) co_return std::unexpected(*upload_problem_);
            const bool ready = co_await upstream_readable();
            const auto got = ready ? ::recv(session_.upstream().native_handle(), worker_.buffer.data(),
                                            worker_.buffer.size(), MSG_DONTWAIT)
                                   : -1;
            if (ready && got < 0 && would_block(errno)) continue;
            if (got <= 0) co_return std::unexpected(no_answer());
            received_.append(worker_.buffer.data(), static_cast<std::size_t>(got));
        }
        received_.erase(0, head->consumed);
        if (!head->informational()) co_return std::move(*head);
        // 101 answers an Upgrade, which never passes. 100 is the gateway's to say. The others are hints for
        // the client.
        if (head->status == 101) {
            co_return std::unexpected(
                Refusal{RefusalCode::upstream_unreachable, "an upgrade that nobody asked for"});
        }
        if (head->status == 100 || request_.head.minor_version == 0) continue;
        incoming_ = client_answer_head(*head, {}).bytes;
        co_await flush_answer();
    }
    co_return std::unexpected(Refusal{RefusalCode::upstream_unreachable, "too many informational answers"});
}

/// False as well once the client has left.
asio::awaitable<bool> PlainExchange::upstream_readable() {
    const bool ready = co_await session_.readable(session_.upstream());
    if (!session_.client_gone()) co_return ready;
    client_left_ = true;
    upload_problem_ = Refusal{RefusalCode::bad_request, "the client left before the end of its answer"};
    co_return false;
}

Refusal PlainExchange::no_answer() const {
    if (upload_problem_) return *upload_problem_;
    if (session_.expired()) return {RefusalCode::upstream_timeout, "no answer in time"};
    return {RefusalCode::upstream_unreachable, "the upstream closed without an answer"};
}

void PlainExchange::begin_answer(const ResponseHead& answer) {
    answering_ = true;
    price_ = FlatPrice(answer.status, answer.headers);
    answer_body_.emplace(answer.body, BodyLimits{.bytes = std::numeric_limits<std::uint64_t>::max()});

    ClientLeg leg{.minor_version = request_.head.minor_version,
                  .to_head = is_head(),
                  .keep_alive = request_.head.keep_alive && !request_.last && !worker_.draining &&
                                (upload_done_ || (uploading_ && answer.keep_alive)),
                  .extra = {{"X-Nomiqon-Request-Id", request_.request_id.str()},
                            {"X-Nomiqon-Reserved", reservation_.amount().to_string()}}};
    if (price_.json() && price_.decided_by_status() && answer.body.kind == BodyKind::length) {
        const Usdc cost = price_.cost() == FlatCost::nothing ? Usdc{} : reservation_.amount();
        leg.extra.push_back({"X-Nomiqon-Cost", cost.to_string()});
    }
    ClientAnswerHead head = client_answer_head(answer, leg);
    incoming_ = std::move(head.bytes);
    client_framing_ = head.body;
    client_keep_alive_ = head.keep_alive;
}

/// Whether the whole answer went to the client. Where not, its connection can only be closed.
asio::awaitable<bool> PlainExchange::relay_answer(const ResponseHead& answer) {
    begin_answer(answer);
    surplus_ = answer_body_->complete() && !received_.empty();
    auto progress = answer_body_->complete() ? end_of_answer() : take_answer(received_);
    std::string().swap(received_);
    while (true) {
        const bool flushed = co_await flush_answer();
        if (!flushed) {
            // The client left, or stopped reading: a flat price is owed in full.
            if (!settled_) reservation_.settle_in_full();
            co_return false;
        }
        if (progress && answer_body_->complete()) co_return true;
        if (!progress || upload_problem_) break;

        session_.arm(worker_.shared.timeouts.idle_timeout);
        const bool ready = co_await upstream_readable();
        if (!ready) break;
        const auto got = ::recv(session_.upstream().native_handle(), worker_.buffer.data(),
                                worker_.buffer.size(), MSG_DONTWAIT);
        if (got < 0 && would_block(errno)) continue;
        if (got < 0) break;
        if (got > 0) {
            progress = take_answer({worker_.buffer.data(), static_cast<std::size_t>(got)});
        } else {
            progress = answer_body_->finish();
            if (progress) progress = end_of_answer();
        }
    }
    if (!settled_ && upload_problem_) {
        reservation_.settle_in_full();  // the client's own doing
    } else if (!settled_) {
        reservation_.settle_as_unknown();
    }
    worker_.shared.log->info("{} answer of {} cut short", request_.request_id.str(),
                             request_.target.to_string());
    reset_client();
    co_return false;
}

asio::awaitable<bool> PlainExchange::flush_answer() {
    if (incoming_.empty()) co_return !client_left_;
    session_.arm(worker_.shared.timeouts.idle_timeout);
    const std::size_t sent = co_await session_.send(session_.client(), incoming_);
    const bool all = sent == incoming_.size();
    incoming_.clear();
    co_return all;
}

std::expected<void, BodyProblem> PlainExchange::take_answer(std::string_view bytes) {
    while (!bytes.empty() && !answer_body_->complete()) {
        const auto step = answer_body_->read(bytes);
        if (!step) return std::unexpected(step.error());
        price_.see(step->data);
        // Settled before its last bytes leave, so that who has read the answer finds it in the ledger.
        if (step->complete) settle_whole_answer();
        worker_.counters.bytes_to_client.add(step->data.size());
        deliver(step->data);
        bytes.remove_prefix(step->consumed);
    }
    if (!answer_body_->complete()) return {};
    surplus_ = !bytes.empty();
    return end_of_answer();
}

std::expected<void, BodyProblem> PlainExchange::end_of_answer() {
    settle_whole_answer();
    if (client_framing_.kind == BodyKind::chunked) incoming_ += encode_last_chunk(answer_body_->trailers());
    return {};
}

/// Writes at once what needs no other framing, from the worker's buffer, and keeps what the client doesn't
/// take.
void PlainExchange::deliver(std::string_view data) {
    if (incoming_.empty() && client_framing_.kind != BodyKind::chunked && !data.empty()) {
        const auto sent =
            ::send(session_.client().native_handle(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) data.remove_prefix(static_cast<std::size_t>(sent));
    }
    append_body(incoming_, client_framing_, data);
}

void PlainExchange::settle_whole_answer() {
    if (std::exchange(settled_, true)) return;
    switch (price_.cost()) {
        case FlatCost::full:
            return reservation_.settle_in_full();
        case FlatCost::nothing:
            return reservation_.settle(Usdc{});
        case FlatCost::unknown:
            return reservation_.settle_as_unknown();
    }
}

/// Ends an exchange that has no answer to relay.
asio::awaitable<bool> PlainExchange::fail(Refusal refusal) {
    if (!went_out_) {
        reservation_.release(refusal.code);
    } else if (upload_problem_) {
        reservation_.settle_in_full();  // the client's own doing
    } else {
        reservation_.settle_as_unknown();
    }
    boost::system::error_code ignored;
    session_.upstream().close(ignored);
    refusal.agent = reservation_.agent().str();
    AnswerSite site{.request_id = request_.request_id,
                    .host = request_.target.to_string(),
                    .inside = request_.inside,
                    .to_head = is_head()};
    if (client_left_) {
        worker_.log_refusal(refusal, site.request_id.str(), site.host);
        co_return false;
    }
    co_return co_await session_.refuse(std::move(refusal), std::move(site));
}

/// An answer that was cut must not look like one that ended, which an orderly close would for a body until
/// close.
void PlainExchange::reset_client() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(session_.client().native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace

asio::awaitable<bool> serve_plain(Session& session, PlainRequest request) {
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
    spend.token_from_connect = request.token_from_connect;
    auto authorized = co_await worker.shared.authorizer.authorize(std::move(spend));
    if (!authorized) co_return co_await session.refuse(std::move(authorized.error()), std::move(site));

    session.mark_proven();
    const auto exchange =
        std::make_shared<PlainExchange>(session, std::move(request), std::move(*authorized));
    co_return co_await exchange->run();
}

}  // namespace nomiqon::proxy
