#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "body_framing.h"
#include "credentials.h"
#include "forwarded_head.h"
#include "nomiqon/metering/meter.h"
#include "nomiqon/metering/routes.h"
#include "nomiqon/service/spend_authorizer.h"
#include "request_head.h"
#include "response_head.h"
#include "session.h"
#include "upgrade.h"

// One request under way, from its reservation to its ending: sent, answered, metered, settled. RFC 9110
// section 7, RFC 9112. Plain requests and those inside TLS are the same here.

namespace nomiqon::proxy {

/// A request as it was read, with what pays for it.
struct ClientRequest {
    RequestHead head;
    Scheme scheme = Scheme::http;
    Endpoint target;
    Credentials credentials;
    RequestId request_id;
    bool inside = false;  ///< inside a connection that CONNECT opened
    /// The token of that CONNECT, if it is what pays.
    std::shared_ptr<const token::SpendToken> of_connect{};
    bool last = false;  ///< its answer closes the connection
};

/// What becomes of the request on its way out, and of the answer on its way back.
struct Handling {
    /// Never null. What a flat price makes of an answer is a meter too.
    std::unique_ptr<metering::AnswerMeter> meter;
    bool metered = false;  ///< by a provider's meter: worth reading to its end when the client has left
    /// The whole body, where it had to be read for its price. Empty: it is relayed as it comes.
    std::optional<std::string> body{};
    std::unique_ptr<BufferPermit> room{};  ///< for `body`
    bool decoded_body = false;             ///< `body` goes out without the client's Content-Encoding
    AnswerCodings codings = AnswerCodings::any;
    std::shared_ptr<const metering::RouteTable> routes{};  ///< which `credential` is of
    const RouteCredential* credential = nullptr;
    HeaderFields tell{};                     ///< of the gateway, to the client
    std::optional<UpgradeBounds> upgrade{};  ///< the request asks to change the protocol, and may
};

inline constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

/// As a meter takes them: they live as long as `headers`.
[[nodiscard]] std::vector<metering::Field> metering_fields(const HeaderFields& headers);

class Exchange final : public std::enable_shared_from_this<Exchange> {
  public:
    Exchange(Session& session, ClientRequest request, Handling handling, service::Reservation reservation);

    /// Whether the client's connection can take another request.
    boost::asio::awaitable<bool> run();

  private:
    // The request on its way out (exchange_upload.cpp).
    boost::asio::awaitable<std::optional<Refusal>> send_head();
    boost::asio::awaitable<std::optional<Refusal>> send_first(Channel& channel);
    std::optional<Refusal> take_body();
    boost::asio::awaitable<void> start_upload();
    boost::asio::awaitable<void> upload();
    boost::asio::awaitable<void> upload_held();
    void drop_body();
    boost::asio::awaitable<void> end_upload(bool may_finish);
    void upload_failed(Refusal problem);
    [[nodiscard]] BodyFraming outward_framing() const;
    /// Whether the upload can do without the client.
    [[nodiscard]] bool has_whole_body() const { return handling_.body || body_.complete(); }

    // The answer on its way back (exchange.cpp).
    boost::asio::awaitable<std::expected<ResponseHead, Refusal>> read_answer_head();
    boost::asio::awaitable<Channel::Result> read_upstream();
    boost::asio::awaitable<void> run_upgraded(const ResponseHead& answer);
    boost::asio::awaitable<bool> relay_answer();
    boost::asio::awaitable<bool> flush_answer();
    void begin_answer(ResponseHead answer);
    void write_answer_head();
    std::expected<void, BodyProblem> take_answer(std::string_view bytes);
    std::expected<void, BodyProblem> end_of_answer();
    void deliver(std::string_view data);
    void stop_holding();
    bool go_on_without_client();
    [[nodiscard]] bool may_hold() const;
    [[nodiscard]] bool may_hold_more();

    void arm(Duration limit);

    // The ending.
    void settle(metering::AnswerEnd how);
    boost::asio::awaitable<bool> fail(Refusal refusal);
    boost::asio::awaitable<void> cut_short();
    [[nodiscard]] Refusal no_answer() const;
    [[nodiscard]] std::string_view upgrade_field() const;
    [[nodiscard]] bool is_head() const { return request_.head.method == "HEAD"; }

    Session& session_;
    Worker& worker_;
    ClientRequest request_;
    Handling handling_;
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
    boost::asio::steady_timer upload_ended_;  // never expires; cancelled as the signal

    std::optional<ResponseHead> answer_;  // once its head has come
    std::string received_;                // of the answer, not used yet
    std::string metered_;                 // what the meter lets through of a read
    std::string held_;                    // of the answer's body, until its cost is known
    std::optional<BufferPermit> held_room_;
    bool holding_ = false;
    std::optional<Usdc> cost_;  // known before the head is written
    std::string incoming_;      // for the client, not written yet
    BodyFraming client_framing_;
    bool client_keep_alive_ = false;
    std::optional<BodyReader> answer_body_;
    bool surplus_ = false;                 // bytes behind the answer: not to be trusted with another request
    std::optional<DrainPermit> draining_;  // read on for the meter alone: the client has left
};

/// Sends the request and relays its answer. Whether the client's connection can take another one.
boost::asio::awaitable<bool> run_exchange(Session& session, ClientRequest request, Handling handling,
                                          service::Reservation reservation);

}  // namespace nomiqon::proxy
