#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/config.h"

namespace nomiqon {

namespace fs = std::filesystem;

/// A directory of its own for each test, gone with it.
class Directory {
  public:
    Directory() {
        std::string pattern = (fs::temp_directory_path() / "nomiqon-config-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
        path_ = pattern;
    }
    ~Directory() {
        std::error_code error;
        fs::remove_all(path_, error);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    fs::path write(const std::string& name, std::string_view content) const {
        std::ofstream(path_ / name, std::ios::binary) << content;
        return path_ / name;
    }
    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

class ConfigTest : public testing::Test {
  protected:
    /// The mistakes in `text`, one a line: place (without the directory), two spaces, message.
    std::string problems(std::string_view text, ConfigOverrides overrides = {}) {
        return shown(load(text, std::move(overrides)));
    }

    std::expected<Config, std::vector<ConfigProblem>> load(std::string_view text,
                                                           ConfigOverrides overrides = {}) {
        if (!overrides.data_dir) overrides.data_dir = (directory_.path() / "data").string();
        return load_config(directory_.write("c.json", text), overrides);
    }

    Config loaded(std::string_view text) {
        auto config = load(text);
        EXPECT_TRUE(config) << shown(config);
        return config.value_or(Config{});
    }

    Route route(std::string_view text) {
        auto config = loaded(R"({"routes": [)" + std::string(text) + "]}");
        return config.routes.empty() ? Route{} : config.routes.front();
    }

    std::string route_problems(std::string_view text) {
        return problems(R"({"routes": [)" + std::string(text) + "]}");
    }

    std::string shown(const std::expected<Config, std::vector<ConfigProblem>>& config) const {
        if (config) return "";
        std::string lines;
        for (const auto& problem : config.error()) {
            auto place = problem.place;
            if (const auto prefix = directory_.path().string() + '/'; place.starts_with(prefix)) {
                place.erase(0, prefix.size());
            }
            lines += place + "  " + problem.message + '\n';
        }
        return lines;
    }

    Directory directory_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << "it says: " << (text)

inline std::size_t lines_of(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

inline std::string content_of(const fs::path& path) {
    std::stringstream content;
    content << std::ifstream(path, std::ios::binary).rdbuf();
    return content.str();
}

}  // namespace nomiqon
