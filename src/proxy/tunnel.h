#pragma once

#include <memory>
#include <string>

#include "upstream.h"
#include "worker.h"

// An opaque tunnel: bytes both ways, unread and unchanged, until both sides have said their end.
//
// Thousands of idle tunnels are the normal case, so one costs two sockets and two small handlers, and no
// buffer: bytes are read into the worker's buffer once there are some, and written at once. What the other
// side doesn't take is copied, and its source isn't read again before that is gone. Handlers instead of
// coroutines: no frames to keep.

namespace nomiqon::proxy {

class Relay final : public Connection, public std::enable_shared_from_this<Relay> {
    class Key {  // only `start` has one: every relay is a shared one
        friend class Relay;
        Key() = default;
    };

  public:
    Relay(Key, Worker& worker, Socket client, Socket upstream);
    /// `early`: bytes from the client that upstream has not taken yet.
    static void start(Worker& worker, Socket client, Socket upstream, std::string early);
    ~Relay() override;

    void expire() override;
    void drain() override {}  // an open exchange; ends by itself or at the drain's limit

  private:
    struct Direction {
        Socket& from;
        Socket& to;
        Counter& counter;
        std::string pending;      // read, and not taken by `to` yet
        std::size_t written = 0;  // of pending
        bool ended = false;
    };

    template <class Step>
    void step(boost::system::error_code error, Step take);
    void wait_readable(Direction& way);
    void wait_writable(Direction& way);
    void on_readable(Direction& way);
    void on_writable(Direction& way);
    void on_end(Direction& way);
    void finish();

    Socket client_;
    Socket upstream_;
    Direction outward_;
    Direction inward_;
};

}  // namespace nomiqon::proxy
