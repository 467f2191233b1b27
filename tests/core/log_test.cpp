#include "nomiqon/core/log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "nomiqon/core/time.h"
#include "text_escape.h"

namespace nomiqon {
namespace {

const std::string hostile = "a\nb\r\x1b[2J\t\"q\" \\ \x7f \xc2\x85 \xe2\x80\xa8 \xff \xc3\xa9 \xe2\x80\xae";

std::string logged(const LogOptions& options, const std::string& message) {
    testing::internal::CaptureStderr();
    make_logger(options)->info("{}", message);
    return testing::internal::GetCapturedStderr();
}

TEST(Log, TextIsOneLineWhateverTheMessage) {
    const std::string line = logged({.format = "text"}, hostile);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
        EXPECT_GE(static_cast<unsigned char>(line[i]), 0x20);
    EXPECT_NE(line.find(R"( info a\nb\r\x1b[2J\t"q" \ \x7f \u0085 \u2028 \xff é \u202e)"), std::string::npos)
        << line;
}

TEST(Log, JsonIsOneObjectALine) {
    const std::string line = logged({.format = "json"}, hostile);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object["level"], "info");
    EXPECT_TRUE(parse_time(object["time"].get<std::string>()));
    EXPECT_EQ(object["message"],
              "a\nb\r\x1b[2J\t\"q\" \\ \x7f \xc2\x85 \xe2\x80\xa8 \xef\xbf\xbd \xc3\xa9 \xe2\x80\xae");
}

TEST(Log, WritesFromTheLevelUpwards) {
    testing::internal::CaptureStderr();
    const auto logger = make_logger({.level = "warn"});
    logger->info("quiet");
    logger->warn("loud");
    logger->error("louder");
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(lines.find("quiet"), std::string::npos);
    EXPECT_NE(lines.find(" warn loud\n"), std::string::npos);
    EXPECT_NE(lines.find(" error louder\n"), std::string::npos);
}

TEST(Escape, KeepsWhatIsHarmless) {
    EXPECT_EQ(escape_for_text("plain é 例 😀 \\"), "plain é 例 😀 \\");
    EXPECT_EQ(escape_for_json("plain é 例 😀"), "plain é 例 😀");
    EXPECT_EQ(escape_for_text(std::string_view{"\0", 1}), "\\x00");
    EXPECT_EQ(escape_for_text("\xe2\x80"), "\\xe2\\x80");
}

}  // namespace
}  // namespace nomiqon
