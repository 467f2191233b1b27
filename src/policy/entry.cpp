// Both lists fail closed: what can't be seen or could be read in two ways isn't permitted by an entry of the
// allowlist, and is blocked by one of the blocklist.

#include "entry.h"

#include <algorithm>

#include "plain_path.h"

namespace nomiqon::policy {
namespace {

bool contains(const std::vector<std::string>& methods, std::string_view method) {
    return std::ranges::find(methods, method) != methods.end();
}

/// Some providers don't mind the case of a method, though RFC 9110 section 9.1 does.
std::string upper(std::string_view method) {
    std::string result(method);
    for (char& c : result) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return result;
}

bool blocks_path(const TextPatterns& paths, const std::optional<std::string>& plain) {
    if (!plain) return true;
    const auto folded = folded_path(*plain);
    return paths.has_exact(without_trailing_slash(folded)) || paths.has_prefix_of(folded);
}

}  // namespace

bool Conditions::model_permits(const Request& request) const {
    if (!models) return true;
    return request.model.empty() ? !request.model_due : models->match(request.model);
}

bool Conditions::model_blocks(const Request& request) const {
    if (!models) return true;
    return request.model.empty() ? request.model_due : models->match(request.model);
}

Reach Conditions::permit(const Asked& asked) const {
    if (empty()) return Reach::allowed;
    if (methods && (asked.is_opaque() || !contains(*methods, asked.request.method))) return Reach::host;
    if (asked.is_opaque()) return Reach::path;
    if (paths && !(asked.path && paths->match(*asked.path))) return Reach::path;
    return model_permits(asked.request) ? Reach::allowed : Reach::model;
}

std::optional<RefusalCode> Conditions::block(const Asked& asked) const {
    if (!asked.is_opaque()) {
        if (methods && !contains(*methods, upper(asked.request.method))) return std::nullopt;
        if (paths && !blocks_path(*paths, asked.path)) return std::nullopt;
        if (!model_blocks(asked.request)) return std::nullopt;
        if (models) return RefusalCode::policy_model_blocked;
    }
    return methods ? RefusalCode::policy_method_blocked : RefusalCode::policy_domain_blocked;
}

}  // namespace nomiqon::policy
