#include "event_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nomiqon::metering {
namespace {

struct Seen {
    std::vector<std::string> events{};
    std::string out{};
};

/// Every event as `name|data`; those whose data is `hide` don't go on.
Seen split(std::string_view text, std::size_t piece = std::string::npos, EventLimits limits = {}) {
    Seen seen;
    EventStream stream{limits};
    const auto handle = [&seen](const StreamEvent& event) {
        seen.events.push_back(std::string{event.name} + '|' +
                              (event.broken ? "broken" : std::string{event.data}));
        return event.data != "hide";
    };
    for (std::string_view rest = text; !rest.empty();) {
        stream.read(rest.substr(0, piece), seen.out, handle);
        rest.remove_prefix(std::min(piece, rest.size()));
    }
    stream.finish(seen.out, handle);
    return seen;
}

using Events = std::vector<std::string>;

TEST(EventStream, ReadsAsTheSpecificationSays) {
    EXPECT_EQ(split("data: a\n\n").events, Events{"|a"});
    EXPECT_EQ(split("data:a\r\n\r\ndata:b\r\rdata: c\n\r\n").events, (Events{"|a", "|b", "|c"}));
    EXPECT_EQ(split("\xEF\xBB\xBF"
                    "data: a\n\n")
                  .events,
              Events{"|a"});
    EXPECT_EQ(split("event: x\ndata: a\ndata:  b\ndata\ndata:c\n\n").events, Events{"x|a\n b\nc"});
    EXPECT_EQ(split(": ping\n\nevent: only\n\nid: 1\nretry: 2\n\n").events, Events{});
    EXPECT_EQ(split("event: a\nevent: b\ndata: 1\n\ndata: 2\n\n").events, (Events{"b|1", "|2"}));
    EXPECT_EQ(split("Data: a\ndatax: b\n data: c\n\n").events, Events{});
    EXPECT_EQ(split("data: [DONE]").events, Events{"|[DONE]"});
}

TEST(EventStream, GivesBackEveryByteWhateverThePieces) {
    const std::string text =
        "\xEF\xBB\xBF: hello\r\n\r\nevent: m\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n\ndata: b\r\rid: 7\ndata: "
        "c\n\n\n: end";
    const Events events = split(text).events;
    EXPECT_EQ(events, (Events{"m|{\"a\":\n1}", "|b", "|c"}));
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        const Seen seen = split(text, piece);
        EXPECT_EQ(seen.out, text) << piece;
        EXPECT_EQ(seen.events, events) << piece;
    }
}

TEST(EventStream, HidesAnEventWhole) {
    for (const std::string end : {"\n", "\r\n", "\r"}) {
        const std::string before = "data: a" + end + end;
        const std::string hidden = ": c" + end + "event: u" + end + "data: hide" + end + end;
        const std::string after = "data: b" + end + end;
        for (std::size_t piece = 1; piece < 40; ++piece) {
            EXPECT_EQ(split(before + hidden + after, piece).out, before + after) << piece;
        }
    }
}

TEST(EventStream, HoldsNoMoreThanItsLimit) {
    EventStream stream{{.held_bytes = 100}};
    std::string out;
    int events = 0;
    std::string data;
    const auto handle = [&](const StreamEvent& event) {
        ++events;
        data = event.data;
        return false;
    };
    stream.read("data: {\"image\":\"", out, handle);
    EXPECT_EQ(out, "");
    for (int i = 0; i < 1000; ++i)
        stream.read(std::string(100, 'A'), out, handle);
    EXPECT_EQ(out.size(), 100'000U + 16U);
    EXPECT_TRUE(stream.within_event());
    stream.read("\",\"usage\":1}\n\n", out, handle);
    EXPECT_EQ(events, 1);
    EXPECT_LT(data.size(), 2000U);
    EXPECT_TRUE(data.ends_with("\"usage\":1}"));
    EXPECT_FALSE(stream.within_event());
}

TEST(EventStream, SaysWhenLongDataIsNoJson) {
    const std::string text = "data: " + std::string(300, 'x') + "\n\ndata: a\n\n";
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
        const Seen seen = split(text, piece, {.held_bytes = 50});
        EXPECT_EQ(seen.events, (Events{"|broken", "|a"}));
        EXPECT_EQ(seen.out, text);
    }
}

}  // namespace
}  // namespace nomiqon::metering
