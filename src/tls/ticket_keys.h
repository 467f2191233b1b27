#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>

#include "nomiqon/core/time.h"
#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

/// The keys of session tickets, common to all server contexts. Every 8 hours there is a new one, and tickets
/// of the one before are still taken, once; then it is gone, and with it what a thief of memory could open of
/// TLS 1.2 sessions. Thread-safe. Never written anywhere.
class TicketKeys {
  public:
    /// `clock` outlives this.
    explicit TicketKeys(const Clock& clock) : clock_(clock) {}
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

    /// How long a ticket may be used.
    static constexpr std::chrono::hours life{8};

    /// What OpenSSL's callback for ticket keys is to return.
    int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
    int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);

  private:
    struct Key {
        std::array<unsigned char, 16> name{};
        std::array<unsigned char, 32> encryption{}, authentication{};
        Time made{};
    };
    [[nodiscard]] bool renew();  // with mutex_ held

    const Clock& clock_;
    std::mutex mutex_;
    std::optional<Key> current_, previous_;
};

}  // namespace nomiqon::tls
