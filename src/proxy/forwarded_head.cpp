#include "forwarded_head.h"

#include <algorithm>
#include <array>
#include <vector>

#include "query_credential.h"

namespace nomiqon::proxy {
namespace {

/// Fields that Connection names end here too, except those that its sender has no business to remove: the
/// provider would then read another request than the one that was authorised and priced, or another answer
/// than was metered.
class Nominated {
  public:
    explicit Nominated(const HeaderFields& headers) {
        for (const auto& field : headers) {
            if (!iequals(field.name, "Connection") && !iequals(field.name, "Proxy-Connection")) continue;
            for (const auto element : list_elements(field.value))
                names_.push_back(element);
        }
    }
    [[nodiscard]] bool has(std::string_view name) const {
        constexpr std::string_view content = "content-";
        if (iequals(name.substr(0, content.size()), content) || iequals(name, "Authorization") ||
            iequals(name, "Cache-Control")) {
            return false;
        }
        return std::ranges::any_of(names_, [&](std::string_view known) { return iequals(known, name); });
    }

  private:
    std::vector<std::string_view> names_;
};

void add(std::string& bytes, std::string_view name, std::string_view value) {
    bytes.append(name).append(": ").append(value).append("\r\n");
}

void add_framing(std::string& bytes, const BodyFraming& body) {
    if (body.kind == BodyKind::length) add(bytes, "Content-Length", std::to_string(body.length));
    if (body.kind == BodyKind::chunked) add(bytes, "Transfer-Encoding", "chunked");
}

/// Which trailers will come is said again where they are relayed.
void add_announced_trailers(std::string& bytes, const HeaderFields& headers) {
    for (const auto& field : headers) {
        if (!iequals(field.name, "Trailer")) continue;
        for (const auto name : list_elements(field.value)) {
            if (is_token(name) && !is_forbidden_trailer(name)) add(bytes, "Trailer", name);
        }
    }
}

bool is_remade(std::string_view name) {
    return iequals(name, "Host") || iequals(name, "Content-Length");
}

/// Or of a host and a path that a proxy before this one would have been asked for, which nobody authorised.
bool tells_of_the_agent(std::string_view name) {
    constexpr std::array<std::string_view, 3> tellers{"Via", "Forwarded", "X-Real-IP"};
    constexpr std::string_view forwarded = "X-Forwarded-";
    return iequals(name.substr(0, forwarded.size()), forwarded) ||
           std::ranges::any_of(tellers, [&](std::string_view known) { return iequals(known, name); });
}

/// Where providers look for a key. On a route that has a credential of its own none of the agent's passes: it
/// could name another account than the one that the gateway's owner pays.
bool is_agents_credential(std::string_view name, const RouteCredential& credential) {
    constexpr std::array<std::string_view, 8> usual{"Authorization",
                                                    "X-Api-Key",
                                                    "Api-Key",
                                                    "X-Goog-Api-Key",
                                                    "X-Subscription-Token",
                                                    "Ocp-Apim-Subscription-Key",
                                                    "X-Auth-Token",
                                                    "Cookie"};
    return iequals(name, credential.header) ||
           std::ranges::any_of(usual, [&](std::string_view known) { return iequals(known, name); });
}

/// The codings of `accepted` that a meter reads, without those that a weight of 0 refuses.
std::string readable_codings(const HeaderFields& headers) {
    constexpr std::array<std::string_view, 5> readable{"gzip", "deflate", "br", "zstd", "identity"};
    std::string result;
    for (const auto& field : headers) {
        if (!iequals(field.name, "Accept-Encoding")) continue;
        for (const auto element : list_elements(field.value)) {
            const auto coding = trim_ows(element.substr(0, element.find(';')));
            if (std::ranges::none_of(readable,
                                     [&](std::string_view known) { return iequals(known, coding); })) {
                continue;
            }
            result.append(result.empty() ? "" : ", ").append(element);
        }
    }
    return result.empty() ? "identity" : result;
}

}  // namespace

std::string upstream_request_head(const RequestHead& request, const UpstreamLeg& leg) {
    std::string bytes;
    bytes.reserve(request.consumed + 128);
    bytes.append(request.method).append(" ");
    if (leg.credential != nullptr) {
        bytes.append(target_with_credential(request.target.path_and_query, *leg.credential, leg.agent));
    } else {
        bytes.append(request.target.path_and_query);
    }
    bytes.append(" HTTP/1.1\r\n");
    const bool usual_port = leg.target.port == default_port(leg.scheme);
    add(bytes, "Host", usual_port ? leg.target.host.str() : leg.target.to_string());

    const Nominated nominated{request.headers};
    for (const auto& field : request.headers) {
        const std::string_view name = field.name;
        if (is_remade(name) || is_hop_by_hop(name) || is_gateway_field(name) || tells_of_the_agent(name) ||
            iequals(name, "Expect") || nominated.has(name)) {
            continue;
        }
        if (leg.credential != nullptr && is_agents_credential(name, *leg.credential)) continue;
        if (leg.decoded_body && iequals(name, "Content-Encoding")) continue;
        if (leg.codings != AnswerCodings::any && iequals(name, "Accept-Encoding")) continue;
        add(bytes, name, field.value);
    }
    if (leg.credential != nullptr && !leg.credential->header.empty()) {
        add(bytes, leg.credential->header, leg.credential->value_for(leg.agent).reveal());
    }
    if (leg.codings == AnswerCodings::readable)
        add(bytes, "Accept-Encoding", readable_codings(request.headers));
    if (leg.codings == AnswerCodings::identity) add(bytes, "Accept-Encoding", "identity");
    add_framing(bytes, leg.body);
    if (leg.body.kind == BodyKind::chunked && request.chunked) add_announced_trailers(bytes, request.headers);
    if (!leg.upgrade.empty()) {
        add(bytes, "Connection", "Upgrade");
        add(bytes, "Upgrade", leg.upgrade);
    } else if (!leg.keep_alive) {
        add(bytes, "Connection", "close");
    }
    return bytes.append("\r\n");
}

namespace {

BodyFraming client_framing(const ResponseHead& answer, const ClientLeg& leg) {
    if (answer.body.kind == BodyKind::none || answer.body.kind == BodyKind::length) return answer.body;
    return {.kind = leg.minor_version == 0 ? BodyKind::until_close : BodyKind::chunked};
}

/// A length that is a statement about the content, not framing: of HEAD and 304 (RFC 9110 8.6).
bool keeps_bare_length(const ResponseHead& answer, const ClientLeg& leg) {
    return answer.content_length && (leg.to_head || answer.status == 304) && !answer.informational() &&
           answer.status != 204;
}

}  // namespace

ClientAnswerHead client_answer_head(const ResponseHead& answer, const ClientLeg& leg) {
    ClientAnswerHead head{.body = client_framing(answer, leg)};
    head.keep_alive = leg.keep_alive && head.body.kind != BodyKind::until_close;

    auto& bytes = head.bytes;
    bytes.reserve(answer.consumed + 256);
    bytes.append("HTTP/1.1 ").append(std::to_string(answer.status)).append(" ").append(answer.reason);
    bytes.append("\r\n");
    const Nominated nominated{answer.headers};
    for (const auto& field : answer.headers) {
        const std::string_view name = field.name;
        if (iequals(name, "Content-Length") || is_hop_by_hop(name) || is_gateway_field(name) ||
            nominated.has(name)) {
            continue;
        }
        add(bytes, name, field.value);
    }
    for (const auto& field : leg.extra)
        add(bytes, field.name, field.value);
    add_framing(bytes, head.body);
    if (head.body.kind == BodyKind::none && keeps_bare_length(answer, leg)) {
        add(bytes, "Content-Length", std::to_string(*answer.content_length));
    }
    if (head.body.kind == BodyKind::chunked && answer.chunked) add_announced_trailers(bytes, answer.headers);
    if (!answer.informational() && !head.keep_alive) add(bytes, "Connection", "close");
    if (!answer.informational() && head.keep_alive && leg.minor_version == 0)
        add(bytes, "Connection", "keep-alive");
    bytes.append("\r\n");
    return head;
}

}  // namespace nomiqon::proxy
