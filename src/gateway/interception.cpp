#include "interception.h"

#include <fmt/format.h>
#include <utility>

namespace nomiqon::gateway {

namespace {

tls::UpstreamTls::Options upstream_options(const Config& config) {
    return {.ca_file = config.upstream.ca_file, .sessions = config.tls.upstream_sessions};
}

}  // namespace

std::expected<std::unique_ptr<Interception>, std::string> Interception::open(
    const Config& config, const Clock& clock, std::shared_ptr<spdlog::logger> log) {
    auto authority = tls::CertificateAuthority::open(
        config.data_dir, {.name_constraints = config.tls.name_constraints}, clock);
    if (!authority) return std::unexpected("the certificate authority: " + authority.error().text());
    auto upstream = tls::UpstreamTls::make(upstream_options(config));
    if (!upstream) return std::unexpected(upstream.error());
    for (const std::string& warning : (*authority)->warnings())
        log->warn("{}", warning);
    log->info("intercepted connections show leaves of the CA {}", (*authority)->fingerprint());
    return std::unique_ptr<Interception>(
        new Interception(std::move(*authority), std::move(*upstream), config, clock, std::move(log)));
}

Interception::Interception(std::unique_ptr<tls::CertificateAuthority> authority,
                           std::unique_ptr<tls::UpstreamTls> upstream, const Config& config,
                           const Clock& clock, std::shared_ptr<spdlog::logger> log)
    : authority_(std::move(authority)),
      upstream_(std::move(upstream)),
      leaves_(std::make_unique<tls::LeafCache>(
          *authority_, tls::LeafCache::Options{.leaves = config.tls.leaves, .queue = config.tls.mint_queue},
          clock)),
      log_(std::move(log)) {}

void Interception::reload(const Config& config) {
    const auto changed = authority_->reload({.name_constraints = config.tls.name_constraints});
    if (!changed) {
        log_->error("the certificate authority was not reloaded: {}", changed.error().text());
    } else if (*changed) {
        log_->info("intercepted connections show leaves of the CA {}", authority_->fingerprint());
    }
    for (const std::string& warning : authority_->warnings())
        log_->warn("{}", warning);
    if (const auto read = upstream_->reload(upstream_options(config)); !read) {
        log_->error("the roots for upstreams were not reloaded: {}", read.error());
    }
}

std::expected<std::shared_ptr<const metering::PriceBook>, std::string> read_prices(const Config& config,
                                                                                   spdlog::logger* log) {
    if (config.prices.models.empty()) return metering::PriceBook::built_in();
    auto book = metering::PriceBook::load(config.prices.models);
    if (!book) {
        std::string why = "the price book " + config.prices.models.string() + " can't be used";
        for (const auto& problem : book.error())
            why += fmt::format("; {}{}{}", problem.entry, problem.entry.empty() ? "" : ": ", problem.message);
        return std::unexpected(std::move(why));
    }
    if (const auto unpriced = (*book)->check(); log != nullptr && !unpriced.empty()) {
        log->warn(
            "{} entries of the price book price nothing (`nomiqon prices check` names them); the first is "
            "{}: {}",
            unpriced.size(), unpriced.front().entry, unpriced.front().message);
    }
    return *std::move(book);
}

}  // namespace nomiqon::gateway
