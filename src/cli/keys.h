#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "failure.h"
#include "json_value.h"
#include "nomiqon/token/spend_token.h"
#include "private_file.h"

namespace nomiqon::cli {

/// One private key of an agent.
struct StoredKey {
    std::string caid;
    std::string status;  ///< `active`, `revoked`
    std::string created_at;
    SecretText seed;  ///< base64url of 32 bytes
};

/// A key file. An agent whose creation was not confirmed has no id yet.
struct AgentKeys {
    std::string agent_id;
    std::string name;
    std::string status;           ///< `active`, `terminated`
    std::vector<StoredKey> keys;  ///< newest first
    std::filesystem::path path;
};

/// A key that is on disk before the gateway hears of it.
struct PendingKey {
    std::filesystem::path path;
    std::string caid;
};

/// Agents' private keys, one file an agent: `<agent id>.json`, 0600, in a directory of 0700.
///
///     {"agentId":"ag_…","name":"crew-planner","status":"active",
///      "keys":[{"caid":"caid_…","publicKey":"<base58>","seed":"<base64url>","status":"active","createdAt":"…"}]}
///
/// The newest key comes first. A new key is first written as `pending-<base58>.json` and joins its agent's
/// file when the gateway has taken its public half: whatever happens in between, no agent is without its key.
/// Keys are never deleted, only marked: on Solana they own the agent's wallet.
class KeyStore {
  public:
    explicit KeyStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

    [[nodiscard]] Outcome<PendingKey> write_pending(const token::SigningKey& key, std::string_view name,
                                                    std::string_view agent_id);
    /// Puts the pending key in front of its agent's keys.
    [[nodiscard]] Outcome<std::filesystem::path> adopt(const PendingKey& pending, std::string_view agent_id,
                                                       std::string_view name);
    void discard(const PendingKey& pending) const;

    /// By id or by name. Files of terminated agents count for their id only.
    [[nodiscard]] Outcome<AgentKeys> find(std::string_view id_or_name) const;
    /// Brings the agent's file in line with what the API says of it: name, status, revoked keys, a pending
    /// key whose confirmation was lost. An agent without a file here is none of its business.
    [[nodiscard]] Outcome<void> follow(const Json& agent);

  private:
    [[nodiscard]] std::filesystem::path file_of(std::string_view agent_id) const;
    [[nodiscard]] Outcome<void> save(const AgentKeys& keys) const;

    std::filesystem::path directory_;
};

/// The key that signs: the newest that isn't revoked.
[[nodiscard]] Outcome<token::SigningKey> signing_key(const AgentKeys& keys);

}  // namespace nomiqon::cli
