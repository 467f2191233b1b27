#include "price_document.h"

#include <nlohmann/json.hpp>

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_depth = 8;  // LiteLLM's own is 5

/// nlohmann's parser hands each number's text to this; its tree would keep a double.
class Builder : public nlohmann::json_sax<Json> {
  public:
    RawValue root;
    std::string problem;

    bool null() override { return add(RawValue::Kind::null, {}); }
    bool boolean(bool value) override {
        RawValue& added = next();
        added.kind = RawValue::Kind::boolean;
        added.boolean = value;
        return true;
    }
    bool number_integer(number_integer_t value) override {
        return add(RawValue::Kind::number, std::to_string(value));
    }
    bool number_unsigned(number_unsigned_t value) override {
        return add(RawValue::Kind::number, std::to_string(value));
    }
    bool number_float(number_float_t /*value*/, const string_t& text) override {
        return add(RawValue::Kind::number, text);
    }
    bool string(string_t& value) override { return add(RawValue::Kind::string, std::move(value)); }
    bool binary(binary_t& /*value*/) override { return false; }  // no JSON text has any

    bool start_object(std::size_t /*elements*/) override { return open(RawValue::Kind::object); }
    bool key(string_t& name) override {
        open_.back()->members.push_back({.name = std::move(name), .value = {}});
        return true;
    }
    bool end_object() override { return close(); }
    bool start_array(std::size_t /*elements*/) override { return open(RawValue::Kind::array); }
    bool end_array() override { return close(); }

    bool parse_error(std::size_t position, const std::string& /*token*/,
                     const Json::exception& /*error*/) override {
        problem = "is no JSON near byte " + std::to_string(position);
        return false;
    }

  private:
    /// Where the next value goes. What is open stays the last of what holds it, so the pointers stay good.
    RawValue& next() {
        if (open_.empty()) return root;
        RawValue& top = *open_.back();
        return top.kind == RawValue::Kind::object ? top.members.back().value : top.items.emplace_back();
    }
    bool add(RawValue::Kind kind, std::string text) {
        RawValue& added = next();
        added.kind = kind;
        added.text = std::move(text);
        return true;
    }
    bool open(RawValue::Kind kind) {
        if (open_.size() == max_depth) {
            problem = "is nested too deep";
            return false;
        }
        RawValue& value = next();
        value.kind = kind;
        open_.push_back(&value);
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::vector<RawValue*> open_;
};

}  // namespace

const RawValue* RawValue::find(std::string_view name) const {
    for (const auto& member : members)
        if (member.name == name) return &member.value;
    return nullptr;
}

std::expected<RawValue, PriceProblem> read_price_document(std::string_view json) {
    Builder builder;
    if (!Json::sax_parse(json, &builder))
        return std::unexpected(PriceProblem{.entry = {}, .message = "the price book " + builder.problem});
    if (builder.root.kind != RawValue::Kind::object)
        return std::unexpected(PriceProblem{.entry = {}, .message = "the price book is no JSON object"});
    return std::move(builder.root);
}

}  // namespace nomiqon::metering
