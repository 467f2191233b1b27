// Log lines on standard error, for people or as JSON objects. Parts of a message come from agents, so nothing
// in one may end its line, reach a terminal as a command, or break the JSON.

#include "nomiqon/core/log.h"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <chrono>
#include <string_view>
#include <utility>

#include "nomiqon/core/time.h"
#include "text_escape.h"

namespace nomiqon {
namespace {

std::string_view name_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::trace:
            return "trace";
        case spdlog::level::debug:
            return "debug";
        case spdlog::level::info:
            return "info";
        case spdlog::level::warn:
            return "warn";
        case spdlog::level::err:
            return "error";
        case spdlog::level::critical:
            return "critical";
        default:
            return "off";
    }
}

void append(spdlog::memory_buf_t& line, std::string_view text) {
    line.append(text.data(), text.data() + text.size());
}

std::string time_of(const spdlog::details::log_msg& message) {
    return format_time(std::chrono::floor<std::chrono::microseconds>(message.time));
}

std::string_view view_of(spdlog::string_view_t text) {
    return {text.data(), text.size()};
}

class TextFormatter final : public spdlog::formatter {
  public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
        append(line, time_of(message));
        append(line, " ");
        append(line, name_of(message.level));
        append(line, " ");
        append(line, escape_for_text(view_of(message.payload)));
        append(line, "\n");
    }
    [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<TextFormatter>();
    }
};

class JsonFormatter final : public spdlog::formatter {
  public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
        append(line, R"({"time":")");
        append(line, time_of(message));
        append(line, R"(","level":")");
        append(line, name_of(message.level));
        append(line, R"(","message":")");
        append(line, escape_for_json(view_of(message.payload)));
        append(line, "\"}\n");
    }
    [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<JsonFormatter>();
    }
};

}  // namespace

std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options) {
    auto logger =
        std::make_shared<spdlog::logger>("nomiqon", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    if (options.format == "json") {
        logger->set_formatter(std::make_unique<JsonFormatter>());
    } else {
        logger->set_formatter(std::make_unique<TextFormatter>());
    }
    logger->set_level(spdlog::level::from_str(options.level));
    return logger;
}

}  // namespace nomiqon
