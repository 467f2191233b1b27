#include "session_store.h"

#include <algorithm>
#include <ctime>

namespace nomiqon::tls {
namespace {

constexpr long longest_use = 3600;  // seconds

bool is_usable(SSL_SESSION* session) {
    const long now = static_cast<long>(std::time(nullptr));
    const long made = SSL_SESSION_get_time(session);
    if (SSL_SESSION_is_resumable(session) != 1 || now < made || now - made > longest_use) return false;
    const auto hint = SSL_SESSION_get_ticket_lifetime_hint(session);
    if (hint != 0 && static_cast<unsigned long>(now - made) > hint) return false;
    const X509* const certificate = SSL_SESSION_get0_peer(session);
    return certificate != nullptr && X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

}  // namespace

void SessionStore::put(const std::string& peer, SessionPtr session) {
    if (peers_ == 0) return;
    const std::lock_guard lock{mutex_};
    auto found = index_.find(peer);
    if (found == index_.end()) {
        order_.push_front({.name = peer, .sessions = {}});
        found = index_.emplace(peer, order_.begin()).first;
    } else {
        order_.splice(order_.begin(), order_, found->second);
    }
    auto& sessions = found->second->sessions;
    if (sessions.size() == sessions_a_peer) sessions.erase(sessions.begin());
    sessions.push_back(std::move(session));
    if (order_.size() > peers_) {
        index_.erase(order_.back().name);
        order_.pop_back();
    }
}

SessionPtr SessionStore::take(const std::string& peer) {
    const std::lock_guard lock{mutex_};
    const auto found = index_.find(peer);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    auto& sessions = found->second->sessions;
    while (!sessions.empty()) {
        if (!is_usable(sessions.back().get())) {
            sessions.pop_back();
            continue;
        }
        if (SSL_SESSION_get_protocol_version(sessions.back().get()) < TLS1_3_VERSION)
            return share(sessions.back().get());
        SessionPtr session = std::move(sessions.back());
        sessions.pop_back();
        return session;
    }
    return nullptr;
}

}  // namespace nomiqon::tls
