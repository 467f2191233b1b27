#include "agent_view.h"
#include "commands.h"
#include "inputs.h"

namespace nomiqon::cli {

Outcome<void> create_api_key(Context& context, const CreateApiKey& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto key = (*api)->write({.method = "POST",
                                    .path = "/v1/api-keys",
                                    .body = Json{{"name", options.name}, {"scopes", options.scopes}}});
    if (!key) return std::unexpected(key.error());
    // The gateway keeps no key's text, so a repeated call can't be told it again.
    if (text_at(*key, {"key"}).empty()) {
        const std::string id = text_at(*key, {"id"});
        return failed("the key " + id + " was made, but its text was lost with the connection",
                      "nomiqon api-keys delete " + id + ", then make another one");
    }
    if (context.out.json()) {
        context.out.data(*key);
        return {};
    }
    context.out.fields({{"id", text_at(*key, {"id"})},
                        {"name", text_at(*key, {"name"})},
                        {"scopes", joined(at(*key, {"scopes"}))},
                        {"key", text_at(*key, {"key"})}});
    context.out.note("the key is shown this once; keep it now");
    return {};
}

Outcome<void> list_api_keys(Context& context, const ListOnly& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto keys = (*api)->list("/v1/api-keys", {}, options.list);
    if (!keys) return std::unexpected(keys.error());
    if (context.out.json()) {
        context.out.data(keys->rows);
    } else {
        Table table{.columns = {{"ID"}, {"NAME"}, {"SCOPES"}, {"CREATED"}, {"REVOKED"}}, .rows = {}};
        for (const auto& key : keys->rows) {
            table.rows.push_back({text_at(key, {"id"}), text_at(key, {"name"}), joined(at(key, {"scopes"})),
                                  short_time(text_at(key, {"createdAt"})),
                                  short_time(text_at(key, {"revokedAt"}))});
        }
        context.out.table(table, "no API key");
    }
    note_more(context, *keys);
    return {};
}

Outcome<void> delete_api_key(Context& context, const DeleteApiKey& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto deleted =
        (*api)->write({.method = "DELETE", .path = "/v1/api-keys/" + percent_encode(options.id)});
    if (!deleted) return std::unexpected(deleted.error());
    if (context.out.json()) {
        context.out.data(*deleted);
    } else {
        context.out.line(options.id + " is revoked for good");
    }
    return {};
}

Outcome<void> show_version(Context& context, const ListOnly&) {
    if (context.out.json()) {
        context.out.data({{"version", NOMIQON_VERSION}});
    } else {
        context.out.line("nomiqon " NOMIQON_VERSION);
    }
    return {};
}

}  // namespace nomiqon::cli
