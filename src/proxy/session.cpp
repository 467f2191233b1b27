#include "session.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <utility>

#include "client_hello.h"
#include "intercept.h"
#include "plain.h"
#include "refusal_response.h"
#include "tunnel.h"

namespace nomiqon::proxy {

namespace asio = boost::asio;

namespace {

constexpr std::size_t read_at_once = 16 * 1024;
constexpr Duration linger_time{2000};
constexpr std::size_t linger_bytes = 8 * 1024 * 1024;
/// A connection whose token has no more than this to live is closed by the next answer.
constexpr std::int64_t about_to_expire_seconds = 30;
constexpr char tls_handshake_record = 0x16;

}  // namespace

service::SpendRequest spend_request(const RequestId& request_id, const Endpoint& target,
                                    const Credentials& credentials) {
    return service::SpendRequest{.id = request_id,
                                 .host = target.host,
                                 .port = target.port,
                                 .method = {},
                                 .path = {},
                                 .token = credentials.token,
                                 .claimed_caid = credentials.claimed_caid,
                                 .claimed_agent = credentials.claimed_agent};
}

Session::Session(Worker& worker, Socket client)
    : Connection(worker), client_(std::move(client)), upstream_(worker.io) {
    worker_.counters.connections_accepted.add();
}

asio::awaitable<void> Session::run() {
    const auto self = shared_from_this();
    try {
        bool again = true;
        while (again)
            again = co_await serve_next();
    } catch (const std::exception& problem) {
        worker_.shared.log->warn("session ended by an exception: {}", problem.what());
    }
    if (client_.encrypted()) client_.shut_down();
    client_.close();
    upstream_.close();
}

asio::awaitable<bool> Session::serve_next() {
    auto head = co_await read_head(false);
    if (!head) co_return false;
    if (head->is_connect()) co_return co_await serve_connect(*head);
    if (head->target.form == TargetForm::absolute) co_return co_await serve_plain_request(std::move(*head));
    co_return co_await refuse(
        {RefusalCode::bad_request, "origin form at the proxy's port: not a proxy request"},
        {.request_id = RequestId::generate()});
}

asio::awaitable<bool> Session::serve_connect(const RequestHead& head) {
    const Endpoint target = head.target.endpoint.value();
    AnswerSite site{.request_id = RequestId::generate(), .host = target.to_string()};
    if (head.chunked || head.content_length.value_or(0) > 0) {
        co_return co_await refuse({RefusalCode::bad_request, "CONNECT with a body"}, std::move(site));
    }
    site.may_keep = head.keep_alive;
    const auto credentials = read_credentials(head.headers, Hop::proxy);
    if (!credentials) co_return co_await refuse(credentials.error(), std::move(site));
    if (target.port == default_port(Scheme::http)) {
        co_return co_await serve_inside(target, *credentials, Scheme::http, std::move(site));
    }
    if (worker_.shared.authorizer.routes()->match(target.host, target.port).mode == RouteMode::intercept) {
        co_return co_await serve_inside(target, *credentials, Scheme::https, std::move(site));
    }
    co_return co_await serve_tunnel(target, *credentials, std::move(site));
}

/// An opaque tunnel: reserve, connect, 200, the client's hello, and from there on bytes.
asio::awaitable<bool> Session::serve_tunnel(const Endpoint& target, const Credentials& credentials,
                                            AnswerSite site) {
    auto request = spend_request(site.request_id, target, credentials);
    request.way = service::Way::tunnel;
    request.scheme = Scheme::https;
    request.method = "CONNECT";
    auto authorized = co_await worker_.shared.authorizer.authorize(std::move(request));
    if (!authorized) co_return co_await refuse(std::move(authorized.error()), std::move(site));
    service::Reservation reservation = std::move(*authorized);
    mark_proven();

    auto failure = co_await connect_upstream(worker_, *this, upstream_.socket(), target, reservation.agent());
    if (failure) {
        reservation.release(failure->code);
        failure->agent = reservation.agent().str();
        co_return co_await refuse(std::move(*failure), std::move(site));
    }
    const bool open = co_await open_tunnel(target, reservation, site);
    if (open) {
        Relay::start(worker_, std::move(client_.socket()), std::move(upstream_.socket()), std::move(unread));
    }
    co_return false;
}

/// From the 200 to the first bytes that go upstream: the tunnel is owed from there on, and costs nothing
/// before.
asio::awaitable<bool> Session::open_tunnel(const Endpoint& target, service::Reservation& reservation,
                                           const AnswerSite& site) {
    const std::string established = fmt::format(
        "HTTP/1.1 200 Connection established\r\nX-Nomiqon-Request-Id: {}\r\nX-Nomiqon-Reserved: {}\r\n\r\n",
        site.request_id.str(), reservation.amount().to_string());
    arm(worker_.shared.limits.client_hello_timeout);
    const std::size_t sent = co_await send(client_, established);
    if (sent < established.size()) {
        reservation.release(RefusalCode::bad_request);
        co_return false;
    }
    if (worker_.shared.authorizer.routes()->match(target.host, target.port).raw) {
        // Whether the client or the server speaks first is theirs to know: what is sold is the connection
        // itself.
        reservation.settle_in_full();
        co_return true;
    }
    auto cut = co_await read_client_hello(target.host);
    if (!cut) cut = co_await send_first_bytes(reservation);
    if (!cut) co_return true;
    reservation.release(cut->code);
    cut->agent = reservation.agent().str();
    if (cut->code == RefusalCode::bad_request) {  // the client's own leaving: nobody was refused
        worker_.shared.log->info("released request={} agent={} host={} detail={}", site.request_id.str(),
                                 cut->agent, site.host, cut->detail);
    } else {
        worker_.log_refusal(*cut, site.request_id.str(), site.host);
    }
    co_return false;
}

/// Reads until the client's TLS hello is complete in `unread`, and checks that it goes to `host`.
asio::awaitable<std::optional<Refusal>> Session::read_client_hello(const HostName& host) {
    arm(worker_.shared.limits.client_hello_timeout);
    ClientHelloReader reader;
    while (true) {
        if (!unread.empty()) {
            const auto hello = reader.read(unread);
            if (!hello) co_return Refusal{RefusalCode::sni_mismatch, std::string(hello.error())};
            if (*hello) co_return check_server_name(**hello, host);
        }
        const bool received = co_await receive();
        if (received) continue;
        // No answer to anybody: the code is the release's reason.
        co_return Refusal{RefusalCode::bad_request, expired() ? "no TLS ClientHello in time"
                                                              : "the client left before its TLS ClientHello"};
    }
}

asio::awaitable<std::optional<Refusal>> Session::send_first_bytes(service::Reservation& reservation) {
    while (true) {
        const Channel::Result sent = upstream_.write(unread);
        if (sent.state == Channel::State::moved) {
            reservation.settle_in_full();
            worker_.counters.bytes_to_upstream.add(sent.bytes);
            unread.erase(0, sent.bytes);
            co_return std::nullopt;
        }
        if (sent.state != Channel::State::wait_write) break;
        const bool ready = co_await wait_for(upstream_, sent.state);
        if (!ready) break;
    }
    co_return Refusal{RefusalCode::upstream_unreachable, "the upstream closed before the first byte"};
}

/// A connection whose requests are read one by one: HTTP in plain text after a CONNECT to port 80, or inside
/// TLS that ends here. Its CONNECT is answered at once; what is refused is refused inside, where the
/// provider's own SDK shows it.
asio::awaitable<bool> Session::serve_inside(const Endpoint& target, const Credentials& credentials,
                                            Scheme scheme, AnswerSite site) {
    std::shared_ptr<const token::SpendToken> token;
    if (!credentials.token.empty()) {
        auto request = spend_request(site.request_id, target, credentials);
        request.scheme = scheme;
        request.method = "CONNECT";
        auto checked = co_await worker_.shared.authorizer.check_token(std::move(request));
        if (!checked) co_return co_await refuse(std::move(checked.error()), std::move(site));
        token = std::move(*checked);
        mark_proven();
    }
    const std::string established = fmt::format(
        "HTTP/1.1 200 Connection established\r\nX-Nomiqon-Request-Id: {}\r\n\r\n", site.request_id.str());
    arm(worker_.shared.limits.idle_timeout);
    const std::size_t sent = co_await send(client_, established);
    bool again = sent == established.size();
    if (again && scheme == Scheme::https) again = co_await accept_tls(target.host);
    while (again)
        again = co_await serve_inner_request(target, scheme, credentials, token);
    co_return false;
}

/// One request inside; it pays with a token of its own, else with the connection's.
asio::awaitable<bool> Session::serve_inner_request(const Endpoint& target, Scheme scheme,
                                                   const Credentials& of_connect,
                                                   const std::shared_ptr<const token::SpendToken>& token) {
    auto head = co_await read_head(true);
    if (!head) co_return false;
    AnswerSite site{.request_id = RequestId::generate(),
                    .host = target.to_string(),
                    .inside = true,
                    .to_head = head->method == "HEAD"};
    auto problem = check_inner_target(*head, target, scheme);
    if (problem) co_return co_await refuse(std::move(*problem), std::move(site));
    site.may_keep = head->keep_alive && head->framing().kind == BodyKind::none;
    auto own = read_credentials(head->headers, Hop::inside);
    if (!own) co_return co_await refuse(std::move(own.error()), std::move(site));
    const bool from_connect = own->token.empty() && token != nullptr;
    auto credentials = inner_credentials(of_connect, std::move(*own), from_connect);
    if (!credentials) co_return co_await refuse(std::move(credentials.error()), std::move(site));

    const bool last =
        from_connect && (token->use == token::TokenUse::once ||
                         token->exp - unix_seconds(SystemClock{}.now()) < about_to_expire_seconds);
    ClientRequest request{.head = std::move(*head),
                          .scheme = scheme,
                          .target = target,
                          .credentials = std::move(*credentials),
                          .request_id = site.request_id,
                          .inside = true,
                          .of_connect = from_connect ? token : nullptr,
                          .last = last};
    if (scheme == Scheme::https) co_return co_await serve_intercepted(*this, std::move(request));
    co_return co_await serve_plain(*this, std::move(request));
}

/// The server's half of TLS, with a leaf of the gateway's own authority.
asio::awaitable<bool> Session::accept_tls(const HostName& host) {
    arm(worker_.shared.limits.client_hello_timeout);
    auto ssl = co_await server_tls(worker_, host);
    if (!ssl) {
        worker_.log_refusal({RefusalCode::overloaded, "no leaf certificate: " + ssl.error()}, "-",
                            host.str());
        co_return false;
    }
    if (!unread.empty()) co_return false;  // nobody speaks TLS before the 200 has come
    client_.encrypt(*std::move(ssl));
    const bool agreed = co_await handshake(client_);
    if (agreed) worker_.counters.handshakes.add();
    if (!agreed) log_failed_handshake(worker_, client_, host, expired());
    co_return agreed;
}

asio::awaitable<bool> Session::serve_plain_request(RequestHead head) {
    const RequestId id = RequestId::generate();
    const Endpoint target = head.target.endpoint.value();
    auto credentials = read_credentials(head.headers, Hop::proxy);
    if (!credentials) {
        co_return co_await refuse(std::move(credentials.error()),
                                  {.request_id = id, .host = target.to_string()});
    }
    co_return co_await serve_plain(*this, {.head = std::move(head),
                                           .scheme = Scheme::http,
                                           .target = target,
                                           .credentials = std::move(*credentials),
                                           .request_id = id});
}

/// Waits for a request's first byte. An idle connection keeps no buffer.
asio::awaitable<bool> Session::await_request() {
    if (!unread.empty()) co_return true;
    std::string().swap(unread);
    if (worker_.draining) co_return false;
    const auto& limits = worker_.shared.limits;
    arm(begun_ ? limits.idle_timeout : limits.header_timeout);
    idle_ = true;
    const bool received = co_await receive();
    idle_ = false;
    co_return received;
}

/// The next request's head; nothing when the connection is to be closed (then whatever was to be said has
/// been said).
asio::awaitable<std::optional<RequestHead>> Session::read_head(bool inside) {
    // Half a head is no request under way: its connection can be had for as little as an idle one.
    worker_.idle_begins(*this, proven_);
    const bool begun = co_await await_request();
    if (!begun) co_return std::nullopt;
    begun_ = true;
    arm(worker_.shared.limits.header_timeout);
    const HeadLimits limits{.bytes = worker_.shared.limits.header_bytes,
                            .count = worker_.shared.limits.header_count};
    RequestHeadReader reader(limits);
    while (true) {
        if (inside && !client_.encrypted() && unread.front() == tls_handshake_record) {
            worker_.log_refusal({RefusalCode::sni_mismatch, "TLS on a connection to port 80"}, "-", "-");
            co_return std::nullopt;
        }
        auto head = reader.read(unread);
        if (!head || *head) worker_.idle_ends(*this);
        if (!head) {
            co_await refuse(std::move(head.error()), {.request_id = RequestId::generate(), .inside = inside});
            co_return std::nullopt;
        }
        if (*head) {
            unread.erase(0, (*head)->consumed);
            worker_.counters.requests.add();
            disarm();
            co_return std::move(**head);
        }
        const bool received = co_await receive();
        if (!received) co_return std::nullopt;
    }
}

asio::awaitable<bool> Session::refuse(Refusal refusal, AnswerSite site) {
    worker_.log_refusal(refusal, site.request_id.str(), site.host);
    const int status = info(refusal.code).status;
    // Clients answer a 407 on the same connection, and inside one they go on with the next request; every
    // other refusal of a CONNECT they take for the connection's end anyway.
    const bool keep = site.may_keep && (status == 407 || site.inside) && !worker_.draining;
    const std::string answer = render_refusal(refusal, {.request_id = site.request_id.str(),
                                                        .inside = site.inside,
                                                        .close = !keep,
                                                        .to_head = site.to_head});
    arm(worker_.shared.limits.idle_timeout);
    const std::size_t sent = co_await send(client_, answer);
    if (sent < answer.size()) co_return false;
    if (!keep) co_await linger();
    co_return keep;
}

asio::awaitable<void> Session::linger() {
    client_.shut_down();
    worker_.idle_begins(*this, false);  // its answer is out: it may give way
    arm(linger_time);
    for (std::size_t drained = 0; drained < linger_bytes; drained += unread.size()) {
        unread.clear();
        const bool received = co_await receive();
        if (!received) break;
    }
    worker_.idle_ends(*this);
    unread.clear();
}

asio::awaitable<bool> Session::receive() {
    while (true) {
        const bool ready = co_await readable(client_);
        if (!ready) co_return false;
        const Channel::Result received = client_.read({worker_.buffer.data(), read_at_once});
        if (received.state == Channel::State::moved) {
            unread.append(worker_.buffer.data(), received.bytes);
            co_return true;
        }
        if (received.state != Channel::State::wait_read) co_return false;
    }
}

asio::awaitable<bool> Session::readable(Channel& channel) {
    if (channel.has_pending()) co_return !expired();
    co_return co_await wait_for(channel, Channel::State::wait_read);
}

asio::awaitable<bool> Session::wait_for(Channel& channel, Channel::State state) {
    if (expired()) co_return false;
    const auto what = state == Channel::State::wait_write ? Socket::wait_write : Socket::wait_read;
    const auto [error] = co_await channel.socket().async_wait(what, asio::as_tuple(asio::use_awaitable));
    co_return !error && !expired();
}

asio::awaitable<bool> Session::handshake(Channel& channel) {
    while (true) {
        const Channel::Result step = channel.handshake();
        if (step.state == Channel::State::moved) co_return true;
        if (step.state != Channel::State::wait_read && step.state != Channel::State::wait_write)
            co_return false;
        const bool ready = co_await wait_for(channel, step.state);
        if (!ready) co_return false;
    }
}

asio::awaitable<std::size_t> Session::send(Channel& channel, std::string_view bytes) {
    std::size_t written = 0;
    while (written < bytes.size() && !expired()) {
        const Channel::Result sent = channel.write(bytes.substr(written));
        written += sent.bytes;
        if (sent.state == Channel::State::moved) continue;
        if (sent.state == Channel::State::ended || sent.state == Channel::State::failed) break;
        const bool ready = co_await wait_for(channel, sent.state);
        if (!ready) break;
    }
    co_return written;
}

void Session::expire() {
    boost::system::error_code ignored;
    client_.socket().cancel(ignored);
    upstream_.socket().cancel(ignored);
}

bool Session::evict() {
    char byte = 0;
    if (::recv(client_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return false;
    boost::system::error_code ignored;
    client_.socket().close(ignored);  // which ends the wait for its bytes
    return true;
}

void Session::inspect() {
    if (!watching_) return;
    // Errors and the end of both directions are told unasked, and taken from nobody who reads later.
    pollfd client{.fd = client_.socket().native_handle(), .events = 0, .revents = 0};
    if (::poll(&client, 1, 0) <= 0 || (client.revents & (POLLERR | POLLHUP)) == 0) return;
    client_gone_ = true;
    boost::system::error_code ignored;
    upstream_.socket().cancel(ignored);
}

void Session::drain() {
    boost::system::error_code ignored;
    if (idle_) client_.socket().cancel(ignored);
}

}  // namespace nomiqon::proxy
