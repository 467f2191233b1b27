#include "listener.h"

#include <pqxx/notification>

namespace nomiqon::ledger {
namespace {

constexpr const char* money_channel = "nomiqon_money";  // nomiqon.work notifies it
constexpr Duration look_every{250};                     // whether the thread is to stop
constexpr Duration retry_pause{1000};

class MoneyReceiver final : public pqxx::notification_receiver {
  public:
    MoneyReceiver(pqxx::connection_base& connection, const std::function<void(const std::string&)>& freed)
        : notification_receiver(connection, money_channel), freed_(freed) {}
    void operator()(const std::string& agent, int /*backend*/) override { freed_(agent); }

  private:
    const std::function<void(const std::string&)>& freed_;
};

}  // namespace

Listener::Listener(State& state, std::function<void(const std::string&)> freed)
    : state_(state),
      freed_(std::move(freed)),
      session_("listener", state.options.timeout),
      thread_([this] { run(); }) {}

Listener::~Listener() {
    stop();
}

void Listener::stop() {
    stopping_ = true;
    session_.interrupt();
    if (thread_.joinable()) thread_.join();
}

void Listener::run() {
    while (!stopping_) {
        try {
            if (!state_.target().conninfo.empty()) listen();
        } catch (const std::exception& error) {
            if (!stopping_) state_.log->debug("the listener lost the database: {}", describe(error).message);
        }
        session_.close();
        const auto until = Steady::now() + retry_pause;
        while (!stopping_ && Steady::now() < until)
            std::this_thread::sleep_for(look_every);
    }
}

void Listener::listen() {
    pqxx::connection& connection = session_.open(state_.target());
    const MoneyReceiver receiver{connection, freed_};
    while (!stopping_) {
        connection.await_notification(0, std::chrono::microseconds{look_every}.count());
    }
}

}  // namespace nomiqon::ledger
