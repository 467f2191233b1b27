#include "nomiqon/tls/leaf_cache.h"

#include <openssl/err.h>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "certificate.h"
#include "issuer.h"
#include "server_context.h"
#include "ticket_keys.h"

namespace nomiqon::tls {
namespace {

/// A leaf is renewed when less than a third of its life is left; it is used until this long before its end,
/// so that none ends in a client's hands between the choice and the handshake.
constexpr int renewal_share = 3;
constexpr std::chrono::minutes last_use{5};

}  // namespace

std::string_view to_string(LeafError error) {
    switch (error) {
        case LeafError::overloaded:
            return "too many requests wait for a certificate";
        case LeafError::not_permitted:
            return "the CA's name constraints leave this host out";
        case LeafError::ca_not_valid:
            return "the CA is not valid now";
        case LeafError::failed:
            return "OpenSSL could not make the certificate";
        case LeafError::shutting_down:
            return "the gateway is shutting down";
    }
    std::unreachable();
}

class LeafCache::Impl {
  public:
    Impl(const CertificateAuthority& authority, Options options, const Clock& clock)
        : authority_(authority),
          options_(options),
          clock_(clock),
          leaf_key_(new_p256_key()),
          tickets_(std::make_shared<TicketKeys>(clock)) {
        if (!leaf_key_)
            throw std::runtime_error("can't make a key for leaf certificates: " + openssl_reason());
        thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
    }

    ~Impl() {
        thread_.request_stop();
        thread_.join();
        for (auto& [host, job] : jobs_)
            answer(job.waiting, std::unexpected(LeafError::shutting_down));
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Context find(const HostName& host) {
        const Time now = clock_.now();
        const std::lock_guard lock{mutex_};
        return find(host, now);
    }

    void request(const HostName& host, Done done) {
        const Time now = clock_.now();
        std::unique_lock lock{mutex_};
        if (auto context = find(host, now)) {
            lock.unlock();
            return done(std::move(context));
        }
        if (waiting_ >= options_.queue) {
            ++stats_.overloaded;
            lock.unlock();
            return done(std::unexpected(LeafError::overloaded));
        }
        ++waiting_;
        job_for(host).waiting.push_back(std::move(done));
    }

    Result mint(const HostName& host) {
        auto entry = make(host);
        const std::lock_guard lock{mutex_};
        return keep(std::move(entry));
    }

    Stats stats() const {
        const std::lock_guard lock{mutex_};
        Stats stats = stats_;
        stats.leaves = entries_.size();
        stats.waiting = waiting_;
        return stats;
    }

  private:
    struct Entry {
        HostName host;
        Context context;
        Time renew_at;
        Time last_use;
        std::uint64_t generation = 0;  // of the authority: a leaf of an earlier CA is not used
    };
    using Entries = std::list<Entry>;  // the most recently used one first

    struct Job {
        std::vector<Done> waiting;  // empty: the renewal of a leaf that is still good
    };

    static void answer(std::vector<Done>& waiting, const Result& result) {
        for (auto& done : waiting)
            done(result);
    }

    // With mutex_ held.
    Context find(const HostName& host, Time now) {
        const auto found = index_.find(host);
        if (found == index_.end()) return nullptr;
        const auto entry = found->second;
        if (now >= entry->last_use || entry->generation != authority_.generation()) {
            index_.erase(found);
            entries_.erase(entry);
            return nullptr;
        }
        entries_.splice(entries_.begin(), entries_, entry);
        if (now >= entry->renew_at && jobs_.size() < options_.queue) job_for(host);
        return entry->context;
    }

    // With mutex_ held. There is one job a host, whether it waits or is under way.
    Job& job_for(const HostName& host) {
        const auto [job, added] = jobs_.try_emplace(host);
        if (added) {
            order_.push_back(host);
            wake_.notify_one();
        }
        return job->second;
    }

    std::expected<Entry, LeafError> make(const HostName& host) const {
        // Read first: should another CA come in between, this leaf counts as one of the old CA's.
        const std::uint64_t generation = authority_.generation();
        const auto issuer = authority_.issuer();
        const Time now = clock_.now();
        const auto leaf = issuer->sign_leaf(host, leaf_key_.get(), now);
        if (!leaf) return std::unexpected(leaf.error());
        ContextPtr context = make_server_context(host, leaf->get(), leaf_key_.get(), *issuer, tickets_);
        if (!context) {
            ERR_clear_error();
            return std::unexpected(LeafError::failed);
        }
        const Time end = to_time(X509_get0_notAfter(leaf->get()));
        return Entry{.host = host,
                     .context = Context{std::move(context)},
                     .renew_at = end - (end - now) / renewal_share,
                     .last_use = end - last_use,
                     .generation = generation};
    }

    // With mutex_ held.
    Result keep(std::expected<Entry, LeafError> made) {
        if (!made) {
            ++stats_.failed;
            return std::unexpected(made.error());
        }
        ++stats_.minted;
        Context context = made->context;
        if (const auto old = index_.find(made->host); old != index_.end()) {
            entries_.erase(old->second);
            index_.erase(old);
        }
        entries_.push_front(std::move(*made));
        index_.emplace(entries_.front().host, entries_.begin());
        while (entries_.size() > options_.leaves) {
            index_.erase(entries_.back().host);
            entries_.pop_back();
            ++stats_.evicted;
        }
        return context;
    }

    void run(const std::stop_token& stop) {
        std::unique_lock lock{mutex_};
        while (wake_.wait(lock, stop, [&] { return !order_.empty(); }) && !stop.stop_requested()) {
            const HostName host = std::move(order_.front());
            order_.pop_front();
            lock.unlock();
            auto made = make(host);
            lock.lock();
            auto job = jobs_.extract(host);
            waiting_ -= job.mapped().waiting.size();
            const Result result = keep(std::move(made));
            lock.unlock();
            answer(job.mapped().waiting, result);
            lock.lock();
        }
    }

    const CertificateAuthority& authority_;
    const Options options_;
    const Clock& clock_;
    const KeyPtr leaf_key_;
    const std::shared_ptr<TicketKeys> tickets_;

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable_any wake_;
    Entries entries_;
    std::unordered_map<HostName, Entries::iterator> index_;
    std::unordered_map<HostName, Job> jobs_;
    std::deque<HostName> order_;  // of the jobs that are not under way
    std::size_t waiting_ = 0;     // callbacks in jobs_
    Stats stats_;
    std::jthread thread_;
};

LeafCache::LeafCache(const CertificateAuthority& authority, Options options, const Clock& clock)
    : impl_(std::make_unique<Impl>(authority, options, clock)) {}
LeafCache::~LeafCache() = default;

LeafCache::Context LeafCache::find(const HostName& host) {
    return impl_->find(host);
}
void LeafCache::request(const HostName& host, Done done) {
    impl_->request(host, std::move(done));
}
LeafCache::Result LeafCache::mint(const HostName& host) {
    return impl_->mint(host);
}
LeafCache::Stats LeafCache::stats() const {
    return impl_->stats();
}

}  // namespace nomiqon::tls
