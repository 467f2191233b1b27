#include "exchange.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "refusal_response.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

constexpr int max_informational = 16;

bool is_event_stream(const HeaderFields& headers) {
    const HeaderField* type = find_field(headers, "Content-Type");
    if (type == nullptr) return false;
    const std::string_view value = type->value;
    return iequals(trim_ows(value.substr(0, value.find(';'))), "text/event-stream");
}

}  // namespace

std::vector<metering::Field> metering_fields(const HeaderFields& headers) {
    std::vector<metering::Field> fields;
    fields.reserve(headers.size());
    for (const auto& field : headers)
        fields.push_back({.name = field.name, .value = field.value});
    return fields;
}

Exchange::Exchange(Session& session, ClientRequest request, Handling handling,
                   service::Reservation reservation)
    : session_(session),
      worker_(session.worker()),
      request_(std::move(request)),
      handling_(std::move(handling)),
      reservation_(std::move(reservation)),
      body_(request_.head.framing(), {.bytes = worker_.shared.limits.body_bytes}),
      upload_ended_(worker_.io, asio::steady_timer::time_point::max()) {}

/// What is left of a drain's time goes before every other limit.
void Exchange::arm(Duration limit) {
    session_.arm(draining_ ? std::min(limit, draining_->time_left()) : limit);
}

/// The request's body and the answer move at the same time, in two coroutines: an upstream may answer before
/// it has read everything, and wait with reading until its answer is taken.
asio::awaitable<bool> Exchange::run() {
    auto failure = co_await send_head();
    if (failure) co_return co_await fail(std::move(*failure));
    co_await start_upload();

    session_.watch_client(true);
    auto answer = co_await read_answer_head();
    if (!answer) {
        session_.watch_client(false);
        co_await end_upload(false);
        co_return co_await fail(std::move(answer.error()));
    }
    if (answer->status == 101) {
        co_await run_upgraded(*answer);
        co_return false;
    }
    begin_answer(std::move(*answer));
    const bool whole = co_await relay_answer();
    session_.watch_client(false);
    co_await end_upload(whole && answer_->keep_alive);

    const bool reusable = whole && upload_done_ && answer_->keep_alive && !surplus_ && !worker_.draining;
    if (reusable) {
        worker_.pool.put(request_.scheme, request_.target, std::move(session_.upstream()), worker_.now());
        session_.upstream() = Channel(worker_.io);
    } else {
        session_.upstream().close();
    }
    if (!whole || draining_) co_return false;
    if (!upload_done_) co_await session_.linger();
    co_return upload_done_&& client_keep_alive_;
}

asio::awaitable<std::expected<ResponseHead, Refusal>> Exchange::read_answer_head() {
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
            const Channel::Result got = co_await read_upstream();
            if (got.state != Channel::State::moved) co_return std::unexpected(no_answer());
            received_.append(worker_.buffer.data(), got.bytes);
        }
        received_.erase(0, head->consumed);
        if (!head->informational()) co_return std::move(*head);
        // 101 answers an Upgrade, which passes only where its route allows it. 100 is the gateway's to say.
        // The others are hints for the client.
        if (head->status == 101 && handling_.upgrade && is_websocket(head->headers))
            co_return std::move(*head);
        if (head->status == 101) {
            co_return std::unexpected(
                Refusal{RefusalCode::upstream_unreachable, "an upgrade that nobody asked for"});
        }
        if (head->status == 100 || request_.head.minor_version == 0) continue;
        incoming_ = client_answer_head(*head, {}).bytes;
        co_await flush_answer();
        arm(worker_.shared.timeouts.response_timeout);
    }
    co_return std::unexpected(Refusal{RefusalCode::upstream_unreachable, "too many informational answers"});
}

/// The next bytes, in the worker's buffer. Fails as well once the client has left, unless the meter is worth
/// reading on for.
asio::awaitable<Channel::Result> Exchange::read_upstream() {
    Channel::State wait = Channel::State::wait_read;
    while (true) {
        const bool ready = wait == Channel::State::wait_read
                               ? co_await session_.readable(session_.upstream())
                               : co_await session_.wait_for(session_.upstream(), wait);
        if (session_.client_gone() && !draining_) {
            if (go_on_without_client()) continue;
            client_left_ = true;
            upload_problem_ =
                Refusal{RefusalCode::bad_request, "the client left before the end of its answer"};
        }
        if (!ready || upload_problem_) co_return Channel::Result{};
        const Channel::Result result = session_.upstream().read(worker_.buffer);
        wait = result.state;
        if (wait != Channel::State::wait_read && wait != Channel::State::wait_write) co_return result;
    }
}

Refusal Exchange::no_answer() const {
    if (upload_problem_) return *upload_problem_;
    if (session_.expired()) return {RefusalCode::upstream_timeout, "no answer in time"};
    return {RefusalCode::upstream_unreachable, "the upstream closed without an answer"};
}

/// The protocol changes: owed in full from here on.
asio::awaitable<void> Exchange::run_upgraded(const ResponseHead& answer) {
    settled_ = true;
    reservation_.settle(handling_.upgrade->price);
    session_.watch_client(false);
    const HeaderField* protocol = find_field(answer.headers, "Upgrade");
    const ClientLeg leg{.extra = {{"Connection", "Upgrade"},
                                  {"Upgrade", protocol != nullptr ? protocol->value : std::string()},
                                  {"X-Nomiqon-Request-Id", request_.request_id.str()},
                                  {"X-Nomiqon-Reserved", reservation_.amount().to_string()}}};
    std::string first = client_answer_head(answer, leg).bytes + std::exchange(received_, {});
    co_await relay_upgraded(session_, *handling_.upgrade, std::move(first));
}

void Exchange::begin_answer(ResponseHead answer) {
    answer_ = std::move(answer);
    handling_.meter->begin(answer_->status, metering_fields(answer_->headers));
    answer_body_.emplace(answer_->body, BodyLimits{.bytes = std::numeric_limits<std::uint64_t>::max()});
    // An event may be taken out of it, so that its length says nothing any more.
    const bool shrinks = handling_.codings == AnswerCodings::identity && is_event_stream(answer_->headers);
    if (shrinks && answer_->body.kind == BodyKind::length) answer_->body = {.kind = BodyKind::until_close};
    holding_ = may_hold();
    if (!holding_) write_answer_head();
}

/// A JSON answer of a metered call is computed as a whole by its provider, so holding it back until its cost
/// can be told in its head delays nothing. What has a flat price is never held.
bool Exchange::may_hold() const {
    const auto& body = answer_->body;
    if (draining_ || !handling_.metered || is_head() || !handling_.meter->is_document()) return false;
    return body.kind == BodyKind::chunked || body.kind == BodyKind::until_close ||
           (body.kind == BodyKind::length && body.length > 0 &&
            body.length <= worker_.shared.limits.answer_bytes);
}

bool Exchange::may_hold_more() {
    constexpr std::size_t small = 64UL * 1024;
    if (held_.size() <= small) return true;
    if (held_.size() > worker_.shared.limits.answer_bytes) return false;
    if (!held_room_) held_room_.emplace(worker_.shared.body_room, reservation_.agent());
    return held_room_->grow_to(held_.size());
}

void Exchange::write_answer_head() {
    holding_ = false;
    if (!cost_ && answer_->body.kind == BodyKind::length) cost_ = handling_.meter->cost_from_head();
    ClientLeg leg{.minor_version = request_.head.minor_version,
                  .to_head = is_head(),
                  .keep_alive = request_.head.keep_alive && !request_.last && !worker_.draining &&
                                (upload_done_ || (uploading_ && answer_->keep_alive)),
                  .extra = {{"X-Nomiqon-Request-Id", request_.request_id.str()},
                            {"X-Nomiqon-Reserved", reservation_.amount().to_string()}}};
    for (auto& field : handling_.tell)
        leg.extra.push_back(std::move(field));
    if (cost_) leg.extra.push_back({"X-Nomiqon-Cost", cost_->to_string()});
    ClientAnswerHead head = client_answer_head(*answer_, leg);
    incoming_ = std::move(head.bytes);
    client_framing_ = head.body;
    client_keep_alive_ = head.keep_alive;
}

/// Too much to be held: it goes out without its cost.
void Exchange::stop_holding() {
    write_answer_head();
    append_body(incoming_, client_framing_, held_);
    std::string().swap(held_);
    held_room_.reset();
}

/// Whether the whole answer came from the upstream.
asio::awaitable<bool> Exchange::relay_answer() {
    surplus_ = answer_body_->complete() && !received_.empty();
    auto progress = answer_body_->complete() ? end_of_answer() : take_answer(received_);
    std::string().swap(received_);
    while (true) {
        const bool flushed = co_await flush_answer();
        if (!flushed && !go_on_without_client()) {
            client_left_ = true;  // or stopped reading
            settle(metering::AnswerEnd::cut);
            co_return false;
        }
        if (progress && answer_body_->complete()) co_return true;
        if (!progress || upload_problem_) break;

        const auto& timeouts = worker_.shared.timeouts;
        arm(timeouts.idle_timeout);
        const Channel::Result read = co_await read_upstream();
        if (read.state == Channel::State::moved) {
            progress = take_answer({worker_.buffer.data(), read.bytes});
            if (draining_ && !draining_->spend(read.bytes)) break;
        } else if (read.state == Channel::State::ended) {
            progress = answer_body_->finish();
            if (progress) progress = end_of_answer();
        } else {
            break;
        }
    }
    co_await cut_short();
    co_return false;
}

asio::awaitable<bool> Exchange::flush_answer() {
    if (draining_) incoming_.clear();
    if (incoming_.empty()) co_return !client_left_;
    arm(worker_.shared.timeouts.idle_timeout);
    const std::size_t sent = co_await session_.send(session_.client(), incoming_);
    const bool all = sent == incoming_.size();
    incoming_.clear();
    co_return all;
}

std::expected<void, BodyProblem> Exchange::take_answer(std::string_view bytes) {
    while (!bytes.empty() && !answer_body_->complete()) {
        const auto step = answer_body_->read(bytes);
        if (!step) return std::unexpected(step.error());
        metered_.clear();
        handling_.meter->read(step->data, metered_);
        // Settled before its last bytes leave, so that who has read the answer finds it in the ledger.
        if (step->complete) settle(metering::AnswerEnd::complete);
        deliver(metered_);
        bytes.remove_prefix(step->consumed);
    }
    if (!answer_body_->complete()) return {};
    surplus_ = !bytes.empty();
    return end_of_answer();
}

std::expected<void, BodyProblem> Exchange::end_of_answer() {
    if (!settled_) {
        metered_.clear();
        settle(metering::AnswerEnd::complete);
        deliver(metered_);
    }
    if (holding_) stop_holding();
    if (client_framing_.kind == BodyKind::none || draining_) return {};
    const bool comment = worker_.shared.cost_comment && cost_ && client_framing_.kind != BodyKind::length &&
                         is_event_stream(answer_->headers) &&
                         find_field(answer_->headers, "Content-Encoding") == nullptr;
    if (comment) append_body(incoming_, client_framing_, ": nomiqon-cost " + cost_->to_string() + "\n\n");
    if (client_framing_.kind == BodyKind::chunked) incoming_ += encode_last_chunk(answer_body_->trailers());
    return {};
}

/// Writes at once what needs no other framing, and keeps what the client doesn't take.
void Exchange::deliver(std::string_view data) {
    worker_.counters.bytes_to_client.add(data.size());
    if (draining_) return;
    if (holding_) {
        held_ += data;
        if (!may_hold_more()) stop_holding();
        return;
    }
    if (incoming_.empty() && client_framing_.kind != BodyKind::chunked && !data.empty()) {
        data.remove_prefix(session_.client().write(data).bytes);
    }
    append_body(incoming_, client_framing_, data);
}

/// The client has left. Its provider goes on and will bill what it wrote, so the answer of a metered call is
/// read on, within bounds, for the sake of the true cost. False: it isn't.
bool Exchange::go_on_without_client() {
    if (draining_) return true;
    const bool known = settled_ || (answer_ && handling_.meter->is_final());
    if (!handling_.metered || known || !has_whole_body() || worker_.draining) return false;
    if (auto permit = DrainPermit::acquire(worker_.shared.drains)) draining_.emplace(std::move(*permit));
    if (!draining_) return false;
    session_.watch_client(false);
    session_.client().make_reset();
    session_.client().close();
    incoming_.clear();
    std::string().swap(held_);
    holding_ = false;
    arm(draining_->time_left());
    return true;
}

void Exchange::settle(metering::AnswerEnd how) {
    if (std::exchange(settled_, true)) return;
    metering::Charge charge = handling_.meter->end(how, metered_);
    if (!charge.alarm.empty())
        worker_.alarm(request_.request_id.str(), request_.target.to_string(), charge.alarm);
    service::Settled as{.model = std::move(charge.model), .basis = std::move(charge.basis)};
    switch (charge.kind) {
        case metering::Charge::Kind::cost:
            cost_ = charge.cost;
            return reservation_.settle(charge.cost, std::move(as));
        case metering::Charge::Kind::in_full:
            cost_ = reservation_.bound();
            return reservation_.settle_in_full(std::move(as));
        case metering::Charge::Kind::unknown:
            cost_ = reservation_.bound();
            // Whose own doing it was knows what became of it.
            if (client_left_ || upload_problem_) return reservation_.settle_in_full(std::move(as));
            return reservation_.settle_as_unknown(std::move(as));
    }
}

/// The answer broke off. To the client that must look like what it is: never like an end.
asio::awaitable<void> Exchange::cut_short() {
    if (draining_ && !settled_) worker_.shared.log->info("{} drained in vain", request_.request_id.str());
    metered_.clear();
    settle(metering::AnswerEnd::cut);
    worker_.shared.log->info("{} answer of {} cut short", request_.request_id.str(),
                             request_.target.to_string());
    if (draining_ || client_left_) co_return;
    constexpr RefusalCode code = RefusalCode::upstream_unreachable;
    if (holding_) {
        co_await session_.refuse(
            {.code = code, .detail = "the answer was cut short", .agent = reservation_.agent().str()},
            {.request_id = request_.request_id,
             .host = request_.target.to_string(),
             .inside = request_.inside});
        co_return;
    }
    if (client_framing_.kind != BodyKind::length) {
        const auto& known = info(code);
        append_body(incoming_, client_framing_,
                    handling_.meter->error_event(known.name, known.message, request_.request_id.str()));
        co_await flush_answer();
    }
    session_.client().make_reset();
}

/// Ends an exchange that has no answer to relay.
asio::awaitable<bool> Exchange::fail(Refusal refusal) {
    if (!went_out_) {
        reservation_.release(refusal.code);
    } else if (upload_problem_) {
        reservation_.settle_in_full();  // the client's own doing
    } else {
        reservation_.settle_as_unknown();
    }
    session_.upstream().close();
    refusal.agent = reservation_.agent().str();
    AnswerSite site{.request_id = request_.request_id,
                    .host = request_.target.to_string(),
                    .inside = request_.inside,
                    .to_head = is_head()};
    if (client_left_ || draining_) {
        worker_.log_refusal(refusal, site.request_id.str(), site.host);
        co_return false;
    }
    co_return co_await session_.refuse(std::move(refusal), std::move(site));
}

asio::awaitable<bool> run_exchange(Session& session, ClientRequest request, Handling handling,
                                   service::Reservation reservation) {
    const auto exchange =
        std::make_shared<Exchange>(session, std::move(request), std::move(handling), std::move(reservation));
    co_return co_await exchange->run();
}

}  // namespace nomiqon::proxy
