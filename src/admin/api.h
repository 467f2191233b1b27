#pragma once

#include <spdlog/logger.h>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.h"
#include "failed_logins.h"
#include "nomiqon/admin/admin_server.h"
#include "nomiqon/core/config.h"
#include "nomiqon/core/time.h"
#include "nomiqon/ledger/ledger.h"

// The API without sockets: what comes in as HttpRequest goes out as HttpResponse. One thread.
namespace nomiqon::admin {

using nlohmann::json;
template <class T>
using Awaitable = boost::asio::awaitable<T>;

inline constexpr std::string_view api_version = "2026-05-01";

struct HttpRequest {
    std::string method;
    std::string target;                                          ///< path and query, as sent
    std::vector<std::pair<std::string, std::string>> headers{};  ///< names in lower case
    std::string body{};
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers{};
    std::string body{};
    bool had_key = false;  ///< the request came with a good API key; never sent
};

/// What a call needs of its API key. `token`: none; its bearer is a spend token.
enum class Scope : std::uint8_t { token, read, operate, full };

/// Who calls: an API key.
struct Principal {
    std::string key_id;
    std::vector<std::string> scopes;
    [[nodiscard]] bool may(Scope scope) const;
};

using Query = std::map<std::string, std::string, std::less<>>;

/// A request that was authenticated, and whose members and parameters are known ones.
struct ApiRequest {
    std::vector<std::string> path_ids{};  ///< what stands for `{…}` in the route's pattern
    Query query{};
    json body = json::object();
    Principal principal{};
    std::string bearer{};
    std::optional<json> idempotency{};  ///< as nomiqon.internal_begin takes it
    std::optional<std::int32_t> if_match{};
    std::optional<std::string> claimed_agent{};  ///< X-Nomiqon-Agent-Id; must be the agent of a spend token
};

struct Answer {
    int status = 200;
    json data;
    json meta = json::object();  ///< beside what every answer has
    bool replayed = false;
    std::optional<HttpResponse> raw{};  ///< instead of the envelope
};

template <class T>
using Result = std::expected<T, ApiError>;
using Outcome = Result<Answer>;

struct Context {
    const Config& config;
    ledger::AdminStore& store;
    const Clock& clock;
    std::shared_ptr<spdlog::logger> log;
};

using Handler = Awaitable<Outcome> (*)(const Context&, const ApiRequest&);

/// One call of the API. `query` and `members` name, separated by spaces, the parameters and the body's
/// members that exist; others are refused before the handler runs. `metadata.*` stands for any key; members
/// of `*` are the handler's to check.
struct Route {
    std::string_view method;
    std::string_view pattern;  ///< `/v1/agents/{id}`
    Scope scope;
    std::string_view query;
    std::string_view members;
    Handler handler;
};
[[nodiscard]] std::span<const Route> routes();

class Api {
  public:
    Api(Context context, AdminHooks hooks) : context_(std::move(context)), hooks_(std::move(hooks)) {}

    /// Never throws; whatever goes wrong is an answer.
    Awaitable<HttpResponse> handle(HttpRequest request);
    /// An error before there was a request to handle: malformed HTTP, limits.
    [[nodiscard]] HttpResponse refuse(ApiError error, int status);

  private:
    Awaitable<Outcome> answer(const HttpRequest& request, bool& had_key);
    Awaitable<Result<Principal>> authenticate(std::string_view key);
    [[nodiscard]] std::optional<HttpResponse> page(const HttpRequest& request, std::string_view path) const;
    [[nodiscard]] std::string metrics() const;
    [[nodiscard]] HttpResponse envelope(const Outcome& outcome, const std::string& request_id) const;
    void count(std::string_view method, int status);

    Context context_;
    AdminHooks hooks_;
    FailedLogins failed_logins_;
    std::map<std::pair<std::string, int>, std::uint64_t> answered_;
};

// For handlers
// -----------------------------------------------------------------------------------------------------

/// Calls an `admin_` function that reads.
Awaitable<Result<json>> read(const Context& context, std::string function, json arguments);
/// Calls one that writes, with the caller, the status to answer, and the idempotency key.
Awaitable<Outcome> write(const Context& context, const ApiRequest& request, std::string function,
                         json arguments, int status = 200);

}  // namespace nomiqon::admin
