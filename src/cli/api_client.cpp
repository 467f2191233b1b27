#include "api_client.h"

#include <httplib.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "nomiqon/core/ids.h"

namespace nomiqon::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view api_version = "2026-05-01";
constexpr std::array retry_pauses{milliseconds{150}, milliseconds{500}};
constexpr milliseconds connect_timeout{5000};
constexpr std::size_t max_answer_bytes = 64ULL * 1024 * 1024;
constexpr std::size_t usual_page = 50;  // as the API's own default
constexpr std::size_t longest_page = 200;
constexpr std::size_t most_rows = 1'000'000;

struct Answer {
    int status = 0;
    std::string body;
    std::string content_type;
    std::string retry_after;
};

/// Nothing of the request can have been processed.
bool never_arrived(httplib::Error error) {
    using enum httplib::Error;
    return error == Connection || error == ConnectionTimeout || error == BindIPAddress ||
           error == SSLConnection || error == SSLLoadingCerts || error == SSLServerVerification;
}

/// Trying again meets the same certificate, and the same too long answer.
bool is_worth_a_retry(httplib::Error error) {
    using enum httplib::Error;
    return error == Connection || error == ConnectionTimeout || error == Read || error == Write;
}

std::string_view describe(httplib::Error error) {
    using enum httplib::Error;
    switch (error) {
        case Connection:
            return "the connection was refused or the host is unknown";
        case ConnectionTimeout:
            return "no answer to the connection in time";
        case Read:
            return "the connection was lost, or no answer came in time";
        case Write:
            return "the connection was lost while sending";
        case SSLConnection:
            return "TLS could not be set up";
        case SSLLoadingCerts:
            return "the system's root certificates can't be read";
        case SSLServerVerification:
            return "its certificate is not valid for this host";
        case Canceled:
            return "its answer is longer than 64 MiB";
        default:
            return "the request failed";
    }
}

std::string hint_for(httplib::Error error, const BaseUrl& url) {
    if (error == httplib::Error::SSLServerVerification || error == httplib::Error::SSLConnection)
        return "check the host name of the base URL; SSL_CERT_FILE names other root certificates";
    if (never_arrived(error))
        return "start nomiqon-gateway, or say where it is with --base-url or NOMIQON_BASE_URL (now: " +
               url.source + ")";
    return "see the gateway's log; --timeout gives it longer than it had";
}

std::string with_query(std::string_view path, const Query& query) {
    std::string target{path};
    char separator = '?';
    for (const auto& [name, value] : query) {
        target += separator + percent_encode(name) + '=' + percent_encode(value);
        separator = '&';
    }
    return target;
}

}  // namespace

struct ApiClient::Impl {
    BaseUrl url;
    ApiKey key;
    std::unique_ptr<httplib::ClientImpl> http;

    Impl(BaseUrl base, ApiKey api_key, Duration timeout) : url(std::move(base)), key(std::move(api_key)) {
        std::string host = url.endpoint.host.str();
        if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
        if (url.scheme == Scheme::https) {
            http = std::make_unique<httplib::SSLClient>(host, url.endpoint.port);
        } else {
            http = std::make_unique<httplib::ClientImpl>(host, url.endpoint.port);
        }
        http->set_follow_location(false);
        http->set_url_encode(false);  // `percent_encode` has done it
        http->set_keep_alive(true);
        http->set_tcp_nodelay(true);
        http->set_connection_timeout(std::min(timeout, connect_timeout));
        http->set_read_timeout(timeout);
        http->set_write_timeout(timeout);
    }

    Outcome<Answer> send(httplib::Request request) {
        request.path = url.path_prefix + request.path;
        request.set_header("Authorization", "Bearer " + key.value);
        request.set_header("User-Agent", "nomiqon/" NOMIQON_VERSION);
        request.set_header("Nomiqon-Version", std::string{api_version});
        request.set_header("Accept", "application/json, text/csv");
        // A write whose first attempt got lost may have been done, whatever the later ones met.
        bool may_have_arrived = false;
        for (std::size_t attempt = 0;; ++attempt) {
            Answer answer;
            request.content_receiver = [&answer](const char* data, std::size_t size, auto, auto) {
                if (size > max_answer_bytes - answer.body.size()) return false;
                answer.body.append(data, size);
                return true;
            };
            const auto result = http->send(request);
            if (result) {
                answer.status = result->status;
                answer.content_type = result->get_header_value("Content-Type");
                answer.retry_after = result->get_header_value("Retry-After");
                return answer;
            }
            const auto error = result.error();
            may_have_arrived = may_have_arrived || !never_arrived(error);
            if (attempt == retry_pauses.size() || !is_worth_a_retry(error)) {
                return std::unexpected(Failure{
                    .message = "can't reach the gateway at " + url.text + ": " + std::string{describe(error)},
                    .hint = hint_for(error, url),
                    .outcome_unknown = may_have_arrived});
            }
            std::this_thread::sleep_for(retry_pauses[attempt]);
        }
    }

    [[nodiscard]] std::string hint_for_status(const Answer& answer) const {
        switch (answer.status) {
            case 401:
                return "the credential sent to " + url.text + " came from " + key.source;
            case 403:
                return "the key from " + key.source + " lacks the scope for this";
            case 412:
                return "somebody changed it meanwhile; look at it again, then repeat the command";
            case 429:
            case 503:
                return answer.retry_after.empty() ? std::string{}
                                                  : "try again in " + answer.retry_after + " s";
            default:
                return {};
        }
    }

    Failure refused(const Answer& answer) const {
        auto body = parse_json(answer.body, "the answer");
        if (!body || !at(*body, {"error"}).is_object()) return not_understood(answer);
        return Failure{.message = text_at(*body, {"error", "message"}),
                       .code = text_at(*body, {"error", "code"}),
                       .request_id = text_at(*body, {"error", "requestId"}),
                       .param = text_at(*body, {"error", "param"}),
                       .hint = hint_for_status(answer),
                       .outcome_unknown = answer.status >= 500};
    }

    [[nodiscard]] Failure not_understood(const Answer& answer) const {
        return Failure{.message = url.text + " answered HTTP " + std::to_string(answer.status) +
                                  (answer.content_type.empty() ? "" : " (" + answer.content_type + ")") +
                                  ", which is no answer of the gateway's admin API",
                       .hint = "the admin API listens on port 3129 unless configured; 3128 is the proxy",
                       .outcome_unknown = answer.status >= 500 || answer.status < 300};
    }

    /// The whole envelope: `data` and `meta`.
    Outcome<Json> call(httplib::Request request) {
        auto answer = send(std::move(request));
        if (!answer) return std::unexpected(std::move(answer.error()));
        if (answer->status < 200 || answer->status > 299) return std::unexpected(refused(*answer));
        if (answer->status == 204) return Json{{"data", nullptr}};
        auto body = parse_json(answer->body, "the answer");
        if (!body || !body->is_object() || !body->contains("data"))
            return std::unexpected(not_understood(*answer));
        return body;
    }

    static httplib::Request get_request(std::string_view path, const Query& query) {
        httplib::Request request;
        request.method = "GET";
        request.path = with_query(path, query);
        return request;
    }
};

ApiClient::ApiClient(BaseUrl url, ApiKey key, Duration timeout)
    : impl_(std::make_unique<Impl>(std::move(url), std::move(key), timeout)) {}
ApiClient::~ApiClient() = default;
ApiClient::ApiClient(ApiClient&&) noexcept = default;

Outcome<Json> ApiClient::get(std::string_view path, const Query& query) {
    auto envelope = impl_->call(Impl::get_request(path, query));
    if (!envelope) return envelope;
    return std::move((*envelope)["data"]);
}

Outcome<List> ApiClient::list(std::string_view path, const Query& query, const ListOptions& options) {
    const std::size_t wanted = options.all ? most_rows : options.limit.value_or(usual_page);
    List list;
    std::string after;
    do {
        Query page = query;
        page.emplace_back("limit", std::to_string(std::min(wanted - list.rows.size(), longest_page)));
        if (!after.empty()) page.emplace_back("after", after);
        auto envelope = impl_->call(Impl::get_request(path, page));
        if (!envelope) return std::unexpected(std::move(envelope.error()));
        Json& rows = (*envelope)["data"];
        if (!rows.is_array()) return failed("the gateway's list is no list");
        for (auto& row : rows)
            list.rows.push_back(std::move(row));
        list.more = at(*envelope, {"meta", "hasMore"}) == true;
        std::string next = text_at(*envelope, {"meta", "nextCursor"});
        if (options.last && std::ranges::any_of(list.rows, options.last)) break;
        if (list.more && (next.empty() || next == after)) return failed("the gateway's list doesn't go on");
        after = std::move(next);
    } while (list.more && list.rows.size() < wanted);
    return list;
}

Outcome<std::string> ApiClient::get_text(std::string_view path, const Query& query) {
    auto answer = impl_->send(Impl::get_request(path, query));
    if (!answer) return std::unexpected(std::move(answer.error()));
    if (answer->status != 200) return std::unexpected(impl_->refused(*answer));
    return std::move(answer->body);
}

Outcome<Json> ApiClient::write(const Write& write) {
    httplib::Request request;
    request.method = write.method;
    request.path = write.path;
    request.set_header("Idempotency-Key",
                       write.idempotency_key.empty() ? "cli_" + new_ulid() : write.idempotency_key);
    if (!write.if_match.empty()) request.set_header("If-Match", '"' + write.if_match + '"');
    if (write.body) {
        try {
            request.body = write.body->dump();
        } catch (const Json::type_error&) {
            return usage_error("what was typed is not valid UTF-8");
        }
        request.set_header("Content-Type", "application/json");
    }
    auto envelope = impl_->call(std::move(request));
    if (!envelope) return envelope;
    return std::move((*envelope)["data"]);
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    constexpr std::string_view unreserved_marks = "-._~";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (alphanumeric || unreserved_marks.contains(c)) {
            result += c;
        } else {
            result += '%';
            result += hex[byte >> 4];
            result += hex[byte & 15];
        }
    }
    return result;
}

}  // namespace nomiqon::cli
