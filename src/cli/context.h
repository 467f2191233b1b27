#pragma once

#include <optional>
#include <utility>

#include "api_client.h"
#include "failure.h"
#include "keys.h"
#include "output.h"
#include "settings.h"

namespace nomiqon::cli {

/// What a command works with. The API and the key store are looked for when a command asks for them: minting
/// and verifying need no gateway, and listing needs no keys.
class Context {
  public:
    explicit Context(GlobalOptions options) : out(options.json), options_(std::move(options)) {}

    [[nodiscard]] Outcome<ApiClient*> api();
    /// Another client of the same API, for a thread of its own.
    [[nodiscard]] Outcome<ApiClient> new_api() const;
    /// The API as one agent sees it, by its spend token.
    [[nodiscard]] Outcome<ApiClient> api_as_agent(std::string token) const;
    [[nodiscard]] Outcome<KeyStore*> keys();

    /// Brings the key store in line with what the API says. What can't be done is noted: the command itself
    /// is done.
    void follow(const Json& agent);

    Output out;

  private:
    GlobalOptions options_;
    std::optional<ApiClient> api_;
    std::optional<KeyStore> keys_;
};

}  // namespace nomiqon::cli
