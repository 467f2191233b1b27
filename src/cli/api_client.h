#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failure.h"
#include "json_value.h"
#include "settings.h"

namespace nomiqon::cli {

using Query = std::vector<std::pair<std::string, std::string>>;

/// How much of a list is wanted.
struct ListOptions {
    std::optional<std::size_t> limit{};  ///< else one page of the API's usual length
    bool all = false;
    std::function<bool(const Json&)> last{};  ///< no page is asked for after the one that holds such a row
};

struct List {
    Json rows = Json::array();
    bool more = false;  ///< there are rows after these
};

struct Write {
    std::string method;
    std::string path;
    std::optional<Json> body{};
    std::string idempotency_key{};  ///< made where it is empty
    std::string if_match{};         ///< a policy version
};

/// The admin API (spec/api.md), one call after the other. What it returns is the answer's `data`.
///
/// A call is repeated, at most twice, when the connection failed: reads change nothing, and every write
/// carries an Idempotency-Key, so that the gateway does it once. Redirects are not followed: the key is for
/// this host only.
class ApiClient {
  public:
    ApiClient(BaseUrl url, ApiKey key, Duration timeout);
    ~ApiClient();
    ApiClient(ApiClient&&) noexcept;
    ApiClient& operator=(ApiClient&&) = delete;

    [[nodiscard]] Outcome<Json> get(std::string_view path, const Query& query = {});
    [[nodiscard]] Outcome<List> list(std::string_view path, const Query& query, const ListOptions& options);
    [[nodiscard]] Outcome<std::string> get_text(std::string_view path, const Query& query);  ///< CSV
    [[nodiscard]] Outcome<Json> write(const Write& write);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// As RFC 3986 section 2.1 writes one path segment or query value.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace nomiqon::cli
