#include <nlohmann/json.hpp>
#include <utility>

#include "answer_reader.h"

namespace nomiqon::metering {

namespace {

/// Sees only whether a body is an error of any provider's: a JSON object that says what is wrong.
class ErrorReader final : public UsageReader {
  public:
    void document(const nlohmann::json& answer) override {
        for (const std::string_view name : {"error", "errors", "detail", "message"}) {
            reported.failed = reported.failed || answer.contains(name);
        }
    }
    Event event(std::string_view /*name*/, const nlohmann::json& /*data*/) override { return Event::pass; }
    [[nodiscard]] std::string error_event(std::string_view /*code*/, std::string_view /*message*/,
                                          std::string_view /*request_id*/) const override {
        return {};
    }
};

class FlatAnswer final : public AnswerMeter {
  public:
    FlatAnswer(Usdc cost, std::string basis)
        : cost_(cost),
          basis_(std::move(basis)),
          failures_(make_answer_meter({.bound = cost}, std::make_unique<ErrorReader>())) {}

    void begin(int status, std::span<const Field> fields) override {
        status_ = status;
        served_ = status >= 200 && status <= 299;
        failures_->begin(status, fields);
    }
    void read(std::string_view bytes, std::string& out) override {
        if (served_) {
            out += bytes;
        } else {
            failures_->read(bytes, out);
        }
    }
    Charge end(AnswerEnd how, std::string& out) override {
        // Owed either way, but nobody knows what became of an answer that broke off.
        if (served_ && how == AnswerEnd::cut && !cost_.is_zero())
            return {.kind = Charge::Kind::unknown, .cost = cost_, .basis = basis_};
        if (served_ || cost_.is_zero()) {
            if (!served_) static_cast<void>(failures_->end(how, out));
            return {.kind = Charge::Kind::cost, .cost = cost_, .basis = basis_};
        }
        return failures_->end(how, out);
    }
    [[nodiscard]] bool is_document() const override { return failures_->is_document(); }
    [[nodiscard]] std::optional<Usdc> cost_from_head() const override {
        const bool decided = status_ >= 200 && status_ < 500 && status_ != 408 && status_ != 499;
        if (!decided || !is_document()) return std::nullopt;
        return served_ ? cost_ : Usdc{};
    }
    /// A status of success decides it.
    [[nodiscard]] bool is_final() const override {
        return served_ || cost_.is_zero() || failures_->is_final();
    }
    [[nodiscard]] std::string error_event(std::string_view /*code*/, std::string_view /*message*/,
                                          std::string_view /*request_id*/) const override {
        return {};
    }

  private:
    Usdc cost_;
    std::string basis_;
    std::unique_ptr<AnswerMeter> failures_;
    int status_ = 0;
    bool served_ = false;
};

}  // namespace

std::unique_ptr<AnswerMeter> make_flat_answer_meter(Usdc cost, std::string basis) {
    return std::make_unique<FlatAnswer>(cost, std::move(basis));
}

std::unique_ptr<AnswerMeter> make_flat_meter(Usdc price) {
    return make_flat_answer_meter(price, {});
}

}  // namespace nomiqon::metering
