#include "keys.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/suggestion.h"
#include "nomiqon/core/time.h"

namespace nomiqon::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view pending_prefix = "pending-";
constexpr std::size_t max_files = 100'000;

std::unexpected<Failure> malformed(const fs::path& path) {
    return failed(path.string() + " is not a key file of nomiqon");
}

/// The JSON reader keeps copies of the seeds; they go before it does.
void wipe_seeds(Json& document) {
    if (!document.is_object() || !document.contains("keys") || !document["keys"].is_array()) return;
    for (auto& key : document["keys"])
        if (key.is_object() && key.contains("seed") && key["seed"].is_string())
            wipe(key["seed"].get_ref<std::string&>());
}

std::optional<AgentKeys> interpret(const Json& document, const fs::path& path) {
    if (!at(document, {"keys"}).is_array()) return std::nullopt;
    AgentKeys result{.agent_id = text_at(document, {"agentId"}),
                     .name = text_at(document, {"name"}),
                     .status = text_at(document, {"status"}),
                     .keys = {},
                     .path = path};
    for (const auto& key : document["keys"]) {
        if (!at(key, {"seed"}).is_string() || !Caid::parse(text_at(key, {"caid"}))) return std::nullopt;
        result.keys.push_back({.caid = text_at(key, {"caid"}),
                               .status = text_at(key, {"status"}),
                               .created_at = text_at(key, {"createdAt"}),
                               .seed = SecretText{text_at(key, {"seed"})}});
    }
    return result;
}

Outcome<AgentKeys> load(const fs::path& path) {
    const auto content = read_private_file(path);
    if (!content) return std::unexpected(content.error());
    // The reader's own error could quote the text; ours doesn't.
    auto document = parse_json(content->view(), path.string());
    if (!document) return malformed(path);
    auto keys = interpret(*document, path);
    wipe_seeds(*document);
    if (!keys) return malformed(path);
    return std::move(*keys);
}

Json describe(const AgentKeys& keys) {
    Json list = Json::array();
    for (const auto& key : keys.keys) {
        list.push_back({{"caid", key.caid},
                        {"publicKey", key.caid.substr(key.caid.find('_') + 1)},
                        {"seed", std::string{key.seed.view()}},
                        {"status", key.status},
                        {"createdAt", key.created_at}});
    }
    return {
        {"agentId", keys.agent_id}, {"name", keys.name}, {"status", keys.status}, {"keys", std::move(list)}};
}

bool is_pending(const fs::path& path) {
    return path.filename().string().starts_with(pending_prefix);
}

Outcome<std::vector<fs::path>> key_files(const fs::path& directory) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator entry{directory, error}; !error && entry != fs::directory_iterator{};
         entry.increment(error)) {
        const auto& path = entry->path();
        if (path.extension() != ".json" || path.filename().string().starts_with('.')) continue;
        if (files.size() == max_files) return failed(directory.string() + " holds too many files");
        files.push_back(path);
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return failed("can't read " + directory.string() + ": " + error.message());
    std::ranges::sort(files);
    return files;
}

std::unexpected<Failure> no_key(std::string_view agent, const fs::path& directory) {
    return failed("no private key of " + in_backticks(agent) + " lies in " + directory.string(),
                  "the key is where the agent was created; nomiqon agents add-key makes another one here");
}

}  // namespace

fs::path KeyStore::file_of(std::string_view agent_id) const {
    return directory_ / (std::string{agent_id} + ".json");
}

Outcome<void> KeyStore::save(const AgentKeys& keys) const {
    Json document = describe(keys);
    const SecretText content{pretty(document) + '\n'};
    wipe_seeds(document);
    return write_private_file(keys.path, content.view());
}

Outcome<PendingKey> KeyStore::write_pending(const token::SigningKey& key, std::string_view name,
                                            std::string_view agent_id) {
    if (auto made = make_private_directory(directory_); !made) return std::unexpected(made.error());
    const auto seed = key.seed();
    AgentKeys keys{.agent_id = std::string{agent_id},
                   .name = std::string{name},
                   .status = "active",
                   .keys = {},
                   .path = {}};
    keys.keys.push_back({.caid = key.caid().str(),
                         .status = "active",
                         .created_at = format_time(SystemClock{}.now()),
                         .seed = SecretText{base64url_encode(
                             {reinterpret_cast<const std::uint8_t*>(seed.data()), seed.size()})}});
    keys.path = directory_ / (std::string{pending_prefix} + std::string{key.caid().base58()} + ".json");
    if (auto saved = save(keys); !saved) return std::unexpected(saved.error());
    return PendingKey{.path = keys.path, .caid = key.caid().str()};
}

Outcome<fs::path> KeyStore::adopt(const PendingKey& pending, std::string_view agent_id,
                                  std::string_view name) {
    // It becomes a file name.
    if (!AgentId::parse(agent_id)) return failed("the gateway's agent has no agent's id");
    const auto lock = DirectoryLock::take(directory_);
    if (!lock) return std::unexpected(lock.error());
    auto fresh = load(pending.path);
    if (!fresh) return std::unexpected(fresh.error());
    fresh->agent_id = agent_id;
    fresh->name = name;
    fresh->path = file_of(agent_id);
    if (std::error_code error; fs::exists(fresh->path, error)) {
        auto known = load(fresh->path);
        if (!known) return std::unexpected(known.error());
        for (auto& key : known->keys)
            if (key.caid != pending.caid) fresh->keys.push_back(std::move(key));
    }
    if (auto saved = save(*fresh); !saved) return std::unexpected(saved.error());
    discard(pending);
    return fresh->path;
}

void KeyStore::discard(const PendingKey& pending) const {
    // A pending file that stays is found by nobody's id and does no harm.
    std::error_code ignored;
    fs::remove(pending.path, ignored);
}

Outcome<AgentKeys> KeyStore::find(std::string_view id_or_name) const {
    if (AgentId::parse(id_or_name)) {
        std::error_code error;
        if (!fs::exists(file_of(id_or_name), error)) return no_key(id_or_name, directory_);
        return load(file_of(id_or_name));
    }
    const auto files = key_files(directory_);
    if (!files) return std::unexpected(files.error());
    std::vector<AgentKeys> confirmed;
    std::vector<AgentKeys> pending;
    std::optional<Failure> unreadable;  // told only when no other file is the one
    for (const auto& path : *files) {
        auto keys = load(path);
        if (!keys) {
            unreadable = unreadable.value_or(std::move(keys.error()));
        } else if (keys->name == id_or_name && keys->status != "terminated") {
            (is_pending(path) ? pending : confirmed).push_back(std::move(*keys));
        }
    }
    auto& candidates = confirmed.empty() ? pending : confirmed;
    if (candidates.size() == 1) return std::move(candidates.front());
    if (candidates.empty()) {
        if (unreadable) return std::unexpected(std::move(*unreadable));
        return no_key(id_or_name, directory_);
    }
    std::string list;
    for (const auto& keys : candidates)
        list += (list.empty() ? "" : ", ") + (keys.agent_id.empty() ? keys.path.string() : keys.agent_id);
    return failed("several agents here are called " + in_backticks(id_or_name) + ": " + list,
                  "name the id instead");
}

Outcome<void> KeyStore::follow(const Json& agent) {
    const std::string id = text_at(agent, {"id"});
    if (!AgentId::parse(id)) return {};
    std::error_code error;
    for (const auto& caid : at(agent, {"caids"})) {
        const auto parsed = Caid::parse(text_at(caid, {"caid"}));
        if (!parsed) continue;
        const PendingKey pending{
            .path = directory_ / (std::string{pending_prefix} + std::string{parsed->base58()} + ".json"),
            .caid = parsed->str()};
        if (!fs::exists(pending.path, error)) continue;
        if (auto adopted = adopt(pending, id, text_at(agent, {"name"})); !adopted)
            return std::unexpected(adopted.error());
    }
    if (!fs::exists(file_of(id), error)) return {};

    const auto lock = DirectoryLock::take(directory_);
    if (!lock) return std::unexpected(lock.error());
    auto keys = load(file_of(id));
    if (!keys) return std::unexpected(keys.error());
    bool changed = false;
    const auto set = [&changed](std::string& member, std::string value) {
        if (value.empty() || member == value) return;
        member = std::move(value);
        changed = true;
    };
    set(keys->name, text_at(agent, {"name"}));
    set(keys->status, text_at(agent, {"status"}) == "terminated" ? "terminated" : "active");
    for (const auto& caid : at(agent, {"caids"})) {
        const auto known = std::ranges::find(keys->keys, text_at(caid, {"caid"}), &StoredKey::caid);
        if (known != keys->keys.end()) set(known->status, text_at(caid, {"status"}));
    }
    if (!changed) return {};
    return save(*keys);
}

Outcome<token::SigningKey> signing_key(const AgentKeys& keys) {
    const auto active = std::ranges::find(keys.keys, "active", &StoredKey::status);
    if (active == keys.keys.end()) {
        return failed("every key in " + keys.path.string() + " is revoked",
                      "nomiqon agents add-key makes the agent a new one");
    }
    auto seed = base64url_decode(active->seed.view());
    auto key = seed ? token::SigningKey::from_seed(*seed) : std::nullopt;
    if (seed) wipe(*seed);
    // A seed that belongs to another public key signs what nobody accepts.
    if (!key || key->caid().str() != active->caid) return malformed(keys.path);
    return std::move(*key);
}

}  // namespace nomiqon::cli
