#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "credentials.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/service/spend_authorizer.h"
#include "request_head.h"
#include "upstream.h"
#include "worker.h"

namespace nomiqon::proxy {

/// What an answer of the gateway's own needs to know of the request that it answers.
struct AnswerSite {
    RequestId request_id;
    std::string host = "-";  ///< for the log
    bool inside = false;     ///< inside a connection that a CONNECT opened
    bool to_head = false;
    bool may_keep = false;  ///< the request was read to its end, so that another one can follow
};

/// One client's connection, from accept until it is closed or becomes a Relay. Requests are served one after
/// another; bytes behind a request wait in `unread`. Lives on its worker's thread, kept alive by its
/// coroutines.
class Session final : public Connection, public std::enable_shared_from_this<Session> {
  public:
    Session(Worker& worker, Socket client);

    boost::asio::awaitable<void> run();

    void expire() override;
    void drain() override;
    bool evict() override;
    void inspect() override;

    // For the stories of single requests (plain.cpp, intercept.cpp, exchange.cpp).
    [[nodiscard]] Worker& worker() { return worker_; }
    [[nodiscard]] Channel& client() { return client_; }
    [[nodiscard]] Channel& upstream() { return upstream_; }

    /// A token of this client was good: others give way before it.
    void mark_proven() { proven_ = true; }
    /// While an answer is awaited nobody reads from the client. One whose connection is dead then cancels
    /// what waits for upstream. A client that only closed its sending half is still there.
    void watch_client(bool on) { watching_ = on; }
    [[nodiscard]] bool client_gone() const { return client_gone_; }

    std::string unread;  ///< received from the client and not used yet

    /// Appends what the client sent to `unread`. False: it closed, or failed, or the deadline is over.
    boost::asio::awaitable<bool> receive();
    /// Waits until a read of `channel` may give something; false: an error, or the deadline is over.
    boost::asio::awaitable<bool> readable(Channel& channel);
    /// Waits for what a step of `channel` asked for. False: an error, or the deadline is over.
    boost::asio::awaitable<bool> wait_for(Channel& channel, Channel::State state);
    boost::asio::awaitable<bool> handshake(Channel& channel);
    /// Writes all of `bytes`, which must stay where they are. Returns how many the kernel, or TLS, took.
    boost::asio::awaitable<std::size_t> send(Channel& channel, std::string_view bytes);
    /// Answers with a refusal, counts and logs it. Whether the connection can take another request.
    boost::asio::awaitable<bool> refuse(Refusal refusal, AnswerSite site);
    /// Before closing a connection on which the client may still be sending: closing with bytes unread would
    /// reset it, and the answer with it.
    boost::asio::awaitable<void> linger();

  private:
    /// Each serves one request and returns whether another one can follow.
    boost::asio::awaitable<bool> serve_next();
    boost::asio::awaitable<bool> serve_connect(const RequestHead& head);
    boost::asio::awaitable<bool> serve_tunnel(const Endpoint& target, const Credentials& credentials,
                                              AnswerSite site);
    boost::asio::awaitable<bool> serve_inside(const Endpoint& target, const Credentials& credentials,
                                              Scheme scheme, AnswerSite site);
    boost::asio::awaitable<bool> accept_tls(const HostName& host);
    boost::asio::awaitable<bool> serve_plain_request(RequestHead head);

    boost::asio::awaitable<std::optional<RequestHead>> read_head(bool inside);
    boost::asio::awaitable<bool> await_request();
    boost::asio::awaitable<std::optional<Refusal>> read_client_hello(const HostName& host);
    boost::asio::awaitable<bool> open_tunnel(const Endpoint& target, service::Reservation& reservation,
                                             const AnswerSite& site);
    boost::asio::awaitable<std::optional<Refusal>> send_first_bytes(service::Reservation& reservation);
    boost::asio::awaitable<bool> serve_inner_request(const Endpoint& target, Scheme scheme,
                                                     const Credentials& of_connect,
                                                     const std::shared_ptr<const token::SpendToken>& token);

    Channel client_;
    Channel upstream_;
    bool idle_ = false;   // waiting for the first byte of a request
    bool begun_ = false;  // a first request has come
    bool proven_ = false;
    bool watching_ = false;
    bool client_gone_ = false;
};

/// What to ask the authorizer for `method` on `target`; the rest is the caller's.
[[nodiscard]] service::SpendRequest spend_request(const RequestId& request_id, const Endpoint& target,
                                                  const Credentials& credentials);

}  // namespace nomiqon::proxy
