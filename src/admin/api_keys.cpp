#include <sodium.h>

#include <algorithm>
#include <array>

#include "api_key.h"
#include "handlers.h"
#include "input.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/sodium.h"
#include "pagination.h"

namespace nomiqon::admin {
namespace {

constexpr std::string_view prefix = "nmq_";
constexpr std::array<std::string_view, 3> known_scopes{"full", "operator", "read"};

Result<json> read_scopes(const json& body) {
    const std::string param = "/scopes";
    const auto found = body.find("scopes");
    if (found == body.end() || !found->is_array() || found->empty()) {
        return std::unexpected(validation_error("must be a list of `full`, `operator` and `read`", param));
    }
    json scopes = json::array();
    for (std::size_t i = 0; i < found->size(); ++i) {
        const json& scope = (*found)[i];
        const auto place = param + '/' + std::to_string(i);
        if (!scope.is_string() ||
            std::ranges::find(known_scopes, scope.get_ref<const std::string&>()) == known_scopes.end()) {
            return std::unexpected(validation_error("must be `full`, `operator` or `read`", place));
        }
        if (std::ranges::find(scopes, scope) != scopes.end()) {
            return std::unexpected(validation_error("is there twice", place));
        }
        scopes.push_back(scope);
    }
    return scopes;
}

}  // namespace

std::string new_api_key() {
    ensure_sodium();
    std::array<std::uint8_t, 32> random{};
    randombytes_buf(random.data(), random.size());
    auto key = std::string{prefix} + base58_encode(random);
    sodium_memzero(random.data(), random.size());
    return key;
}

bool is_api_key(std::string_view text) {
    if (!text.starts_with(prefix)) return false;
    const auto bytes = base58_decode(text.substr(prefix.size()), 32);
    return bytes && bytes->size() == 32;
}

Awaitable<Outcome> create_api_key(const Context& context, const ApiRequest& request) {
    const auto name = require_text(request.body, "name", {});
    if (!name) co_return std::unexpected(name.error());
    const auto scopes = read_scopes(request.body);
    if (!scopes) co_return std::unexpected(scopes.error());
    const auto key = new_api_key();
    auto answer = co_await write(context, request, "create_api_key",
                                 {{"key_id", ApiKeyId::generate().str()},
                                  {"name", *name},
                                  {"scopes", *scopes},
                                  {"hash", sha256_hex(key)}},
                                 201);
    // Shown once: a repetition of this request is told of the same key, without the secret, which nobody has
    // kept.
    if (answer) answer->data["key"] = answer->replayed ? json(nullptr) : json(key);
    co_return answer;
}

Awaitable<Outcome> list_api_keys(const Context& context, const ApiRequest& request) {
    return list(context, request, "list_api_keys", json::object(), "keys");
}

Awaitable<Outcome> revoke_api_key(const Context& context, const ApiRequest& request) {
    return write(context, request, "revoke_api_key", {{"key_id", request.path_ids.at(0)}});
}

}  // namespace nomiqon::admin
