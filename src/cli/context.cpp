#include "context.h"

namespace nomiqon::cli {

Outcome<ApiClient*> Context::api() {
    if (!api_) {
        auto made = new_api();
        if (!made) return std::unexpected(std::move(made.error()));
        api_.emplace(std::move(*made));
    }
    return &*api_;
}

Outcome<ApiClient> Context::new_api() const {
    auto url = find_base_url(options_);
    if (!url) return std::unexpected(std::move(url.error()));
    auto key = find_api_key(options_, *url);
    if (!key) return std::unexpected(std::move(key.error()));
    const auto timeout = find_timeout(options_);
    if (!timeout) return std::unexpected(timeout.error());
    return ApiClient{std::move(*url), std::move(*key), *timeout};
}

Outcome<ApiClient> Context::api_as_agent(std::string token) const {
    auto url = find_base_url(options_);
    if (!url) return std::unexpected(std::move(url.error()));
    const auto timeout = find_timeout(options_);
    if (!timeout) return std::unexpected(timeout.error());
    return ApiClient{
        std::move(*url),
        ApiKey{.value = std::move(token), .source = "a spend token minted with the agent's key here"},
        *timeout};
}

Outcome<KeyStore*> Context::keys() {
    if (!keys_) {
        auto directory = key_directory();
        if (!directory) return std::unexpected(std::move(directory.error()));
        keys_.emplace(std::move(*directory));
    }
    return &*keys_;
}

void Context::follow(const Json& agent) {
    const auto store = keys();
    if (!store) return;  // without a home there are no keys to follow
    if (const auto followed = (*store)->follow(agent); !followed)
        out.note(followed.error().message +
                 (followed.error().hint.empty() ? "" : " (" + followed.error().hint + ")"));
}

}  // namespace nomiqon::cli
