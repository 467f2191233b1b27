#include "tunnel.h"

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <utility>

namespace nomiqon::proxy {

namespace {

/// A busy direction gives way to the others of its thread after so many full buffers.
constexpr int max_rounds = 4;

}  // namespace

Relay::Relay(Key /*only_start_has_one*/, Worker& worker, Socket client, Socket upstream)
    : Connection(worker),
      client_(std::move(client)),
      upstream_(std::move(upstream)),
      outward_{.from = client_, .to = upstream_, .counter = worker.counters.bytes_to_upstream, .pending = {}},
      inward_{.from = upstream_, .to = client_, .counter = worker.counters.bytes_to_client, .pending = {}} {
    worker_.counters.tunnels_open.add();
}

Relay::~Relay() {
    worker_.counters.tunnels_open.subtract();
}

void Relay::start(Worker& worker, Socket client, Socket upstream, std::string early) {
    const auto relay = std::make_shared<Relay>(Key{}, worker, std::move(client), std::move(upstream));
    relay->arm(worker.shared.timeouts.idle_timeout);
    relay->wait_readable(relay->inward_);
    if (early.empty()) {
        relay->wait_readable(relay->outward_);
    } else {
        relay->outward_.pending = std::move(early);
        relay->wait_writable(relay->outward_);
    }
}

template <class Step>
void Relay::step(boost::system::error_code error, Step take) {
    if (error) return finish();
    try {
        take();
    } catch (const std::bad_alloc&) {
        finish();
    }
}

void Relay::wait_readable(Direction& way) {
    way.from.async_wait(Socket::wait_read,
                        [self = shared_from_this(), &way](boost::system::error_code error) {
                            self->step(error, [&] { self->on_readable(way); });
                        });
}

void Relay::wait_writable(Direction& way) {
    way.to.async_wait(Socket::wait_write, [self = shared_from_this(), &way](boost::system::error_code error) {
        self->step(error, [&] { self->on_writable(way); });
    });
}

void Relay::on_readable(Direction& way) {
    auto& buffer = worker_.buffer;
    for (int round = 0; round < max_rounds; ++round) {
        const auto received = ::recv(way.from.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (received == 0) return on_end(way);
        if (received < 0) {
            if (would_block(errno)) break;
            return finish();
        }
        const auto size = static_cast<std::size_t>(received);
        arm(worker_.shared.timeouts.idle_timeout);
        way.counter.add(size);
        const auto sent = ::send(way.to.native_handle(), buffer.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && !would_block(errno)) return finish();
        const auto taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
        if (taken < size) {
            way.pending.assign(buffer.data() + taken, size - taken);
            return wait_writable(way);
        }
        if (size < buffer.size()) break;
    }
    wait_readable(way);
}

void Relay::on_writable(Direction& way) {
    const auto sent = ::send(way.to.native_handle(), way.pending.data() + way.written,
                             way.pending.size() - way.written, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && !would_block(errno)) return finish();
    if (sent > 0) {
        arm(worker_.shared.timeouts.idle_timeout);
        way.written += static_cast<std::size_t>(sent);
    }
    if (way.written < way.pending.size()) return wait_writable(way);
    std::string().swap(way.pending);  // an idle tunnel holds no buffer
    way.written = 0;
    wait_readable(way);
}

void Relay::on_end(Direction& way) {
    way.ended = true;
    if (outward_.ended && inward_.ended) return finish();
    boost::system::error_code error;
    way.to.shutdown(Socket::shutdown_send, error);
    if (error) finish();
}

void Relay::finish() {
    boost::system::error_code ignored;
    client_.close(ignored);
    upstream_.close(ignored);
}

void Relay::expire() {
    finish();
}

}  // namespace nomiqon::proxy
