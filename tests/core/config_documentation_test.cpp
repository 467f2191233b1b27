// Holds docs/configuration.md, config/nomiqon.json and the loader's table of keys together.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/config_fixture.h"
#include "nomiqon/core/strict_json.h"

namespace nomiqon {
namespace {

TEST(ConfigDocumentation, PageHasEveryKeyWithItsDefaultAndRange) {
    const auto page = content_of(fs::path(NOMIQON_SOURCE_DIR) / "docs/configuration.md");
    for (const auto& key : config_keys()) {
        const auto row = page.find("\n| `" + key.path + "` |");
        ASSERT_NE(row, std::string::npos) << key.path << " is missing in docs/configuration.md";
        const auto line = page.substr(row + 1, page.find('\n', row + 1) - row - 1);
        EXPECT_SAYS(line, key.default_value.empty() ? std::string("|") : "| `" + key.default_value + "` |");
        EXPECT_SAYS(line, key.range.empty() ? std::string("|") : "| " + key.range + " |");
    }
}

/// The default file with the lines that are commented out put back in.
std::string with_commented_lines(const std::string& text) {
    std::stringstream lines(text);
    std::string result;
    for (std::string line; std::getline(lines, line);) {
        const auto start = line.find_first_not_of(' ');
        const bool comment = start != std::string::npos && line.compare(start, 3, "// ") == 0;
        const auto content = comment ? line.find_first_not_of(' ', start + 3) : std::string::npos;
        if (content != std::string::npos && std::string_view("\"{}[]").contains(line[content]))
            line.erase(0, content);
        result += line + '\n';
    }
    return result;
}

void collect_paths(const nlohmann::json& value, const std::string& path, std::vector<std::string>& paths) {
    paths.push_back(path);
    if (value.is_array()) {
        for (const auto& element : value)
            collect_paths(element, path + "[]", paths);
    } else if (value.is_object()) {
        for (const auto& [name, member] : value.items()) {
            collect_paths(member, path.empty() ? name : path + '.' + name, paths);
        }
    }
}

TEST(ConfigDocumentation, DefaultFileHasEveryKey) {
    const auto text = content_of(fs::path(NOMIQON_SOURCE_DIR) / "config/nomiqon.json");
    const auto document = parse_strict_json(with_commented_lines(text), {.allow_comments = true});
    ASSERT_TRUE(document) << document.error().message << " at line " << document.error().line;
    std::vector<std::string> paths;
    collect_paths(*document, "", paths);
    for (const auto& key : config_keys()) {
        if (key.path == "routes[].paths") continue;  // the other place of routes[].price.paths
        EXPECT_NE(std::ranges::find(paths, key.path), paths.end())
            << key.path << " is missing in config/nomiqon.json";
    }
}

TEST(ConfigDocumentation, DefaultFileSaysTheDefaults) {
    const auto path = fs::path(NOMIQON_SOURCE_DIR) / "config/nomiqon.json";
    const auto config = load_config(path, {.data_dir = "/nonexistent/nomiqon"});
    ASSERT_TRUE(config) << config.error().front().place << ": " << config.error().front().message;
    EXPECT_TRUE(config->warnings.empty());

    const auto document = parse_strict_json(content_of(path), {.allow_comments = true}).value();
    for (const auto& key : config_keys()) {
        if (key.default_value.empty()) continue;
        const auto dot = key.path.find('.');
        const auto& value = dot == std::string::npos
                                ? document.at(key.path)
                                : document.at(key.path.substr(0, dot)).at(key.path.substr(dot + 1));
        EXPECT_EQ(value.dump(), key.default_value) << key.path;
    }
}

}  // namespace
}  // namespace nomiqon
