#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "body_framing.h"
#include "nomiqon/core/config.h"
#include "nomiqon/core/host.h"
#include "request_head.h"
#include "response_head.h"

// Heads as they leave the gateway. Nothing is copied blindly: framing, Host and Connection are made anew from
// what was understood, hop-by-hop fields end here (RFC 9110 7.6.1), and so does everything of ours.

namespace nomiqon::proxy {

/// Which content codings the provider may use for its answer.
enum class AnswerCodings : std::uint8_t {
    any,       ///< what the client accepts
    readable,  ///< of these, only those that a meter can read
    identity,  ///< none: something may have to be taken out of the answer
};

struct UpstreamLeg {
    Endpoint target;  ///< what was authorised, priced and connected to: Host is made of it
    Scheme scheme = Scheme::http;
    BodyFraming body{};      ///< how the session sends the body; usually the request's own framing
    bool keep_alive = true;  ///< whether the session would use the upstream's connection again
    const RouteCredential* credential = nullptr;  ///< goes in; the agent's own ones stay here
    std::string_view agent{};                     ///< its id, for a credential that is this agent's alone
    bool decoded_body = false;                    ///< the body lost its Content-Encoding on the way
    AnswerCodings codings = AnswerCodings::any;
    std::string_view upgrade{};  ///< the protocols that the client asks to change to; empty: none
};
/// The head that goes to the provider, in origin form. `Expect` stays here: the session itself answers
/// `100 Continue` once the spend is reserved.
///
/// No `Via` and no `X-Forwarded-For`, ours or the client's: a provider must learn nothing of who stands
/// behind the gateway, which outweighs RFC 9110's wish for `Via` (7.6.3).
[[nodiscard]] std::string upstream_request_head(const RequestHead& request, const UpstreamLeg& leg);

struct ClientLeg {
    int minor_version = 1;   ///< of the request
    bool to_head = false;    ///< the request was a HEAD
    bool keep_alive = true;  ///< whether the session would keep the client's connection
    HeaderFields extra{};    ///< of the gateway: X-Nomiqon-Request-Id, X-Nomiqon-Reserved, …
};
struct ClientAnswerHead {
    std::string bytes{};
    BodyFraming body{};      ///< how the session must write the body
    bool keep_alive = true;  ///< false: the session closes after the answer
};
/// The head that goes to the client, and how its body is to be framed: a length is kept; a chunked body, or
/// one until close, is chunked for HTTP/1.1 and runs until close for HTTP/1.0. A provider's own `X-Nomiqon-*`
/// are dropped: they would be taken for ours.
[[nodiscard]] ClientAnswerHead client_answer_head(const ResponseHead& answer, const ClientLeg& leg);

}  // namespace nomiqon::proxy
