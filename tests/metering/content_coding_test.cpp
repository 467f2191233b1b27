#include "content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

namespace nomiqon::metering {
namespace {

constexpr std::size_t roomy = 1U << 20U;

// Made by the reference encoder; the text is "hello hello hello hello".
constexpr unsigned char br_hello[] = {0x1b, 0x16, 0x00, 0x00, 0x24, 0x40, 0x6a,
                                      0x10, 0x65, 0xea, 0xf0, 0x9c, 0x3e};

enum class Wrap { gzip, zlib, raw };

std::string deflated(std::string_view text, Wrap wrap) {
    constexpr int window = 15;
    z_stream stream{};
    const int bits = wrap == Wrap::gzip ? window + 16 : wrap == Wrap::zlib ? window : -window;
    EXPECT_EQ(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&stream, text.size()) + 64, '\0');
    std::string in{text};
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

/// A frame of one raw block (RFC 8878, section 3.1.1), as a decoder must take it.
std::string zstd_stored(std::string_view text) {
    std::string out{"\x28\xb5\x2f\xfd", 4};
    out += '\x20';  // one segment, its size in one byte
    out += static_cast<char>(text.size());
    const auto header = static_cast<unsigned>(text.size() << 3U) | 1U;
    for (int i = 0; i < 3; ++i)
        out += static_cast<char>((header >> (8 * i)) & 0xffU);
    return out += text;
}

/// What a message decodes to in pieces of `piece` bytes; the problem's name, or `…` where it may not end yet.
std::string decode(std::string_view codings, std::string_view bytes, std::size_t piece = 1,
                   std::size_t limit = roomy) {
    const auto decoder = Decoder::make(codings);
    if (!decoder) return "unknown";
    std::string out;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
        const auto result = decoder->read(bytes.substr(0, piece), out, limit);
        if (!result) return result.error() == CodingProblem::corrupt ? "corrupt" : "too large";
    }
    return decoder->finished() ? out : out + "…";
}

std::string text_of(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i)
        text += static_cast<char>('a' + (i * i % 23));
    return text;
}

TEST(ContentCoding, EveryCodingInPiecesOfAnySize) {
    const std::string text = text_of(50'000);
    for (const std::size_t piece : {1U, 2U, 7U, 1000U, 1U << 20U}) {
        EXPECT_EQ(decode("gzip", deflated(text, Wrap::gzip), piece), text);
        EXPECT_EQ(decode("x-gzip", deflated(text, Wrap::gzip), piece), text);
        EXPECT_EQ(decode("deflate", deflated(text, Wrap::zlib), piece), text);
        EXPECT_EQ(decode("deflate", deflated(text, Wrap::raw), piece), text);
        EXPECT_EQ(decode("zstd", zstd_stored("hello"), piece), "hello");
        EXPECT_EQ(decode("identity", text, piece), text);
        EXPECT_EQ(decode("", text, piece), text);
    }
    const std::string br{reinterpret_cast<const char*>(br_hello), sizeof br_hello};
    const std::string hello = decode("br", br);
    EXPECT_EQ(hello, "hello hello hello hello") << "of " << hello.size();
}

TEST(ContentCoding, ListsAreUndoneFromTheEnd) {
    const std::string twice = deflated(deflated("both", Wrap::zlib), Wrap::gzip);
    EXPECT_EQ(decode("deflate, GZIP", twice), "both");
    EXPECT_EQ(decode("identity, deflate ,, gzip", twice), "both");
    EXPECT_EQ(decode("gzip, deflate", twice), "corrupt");
    EXPECT_EQ(decode("gzip, gzip, gzip, gzip, gzip", twice), "unknown");
}

TEST(ContentCoding, MembersOfGzipAndFramesOfZstdFollowEachOther) {
    EXPECT_EQ(decode("gzip", deflated("one", Wrap::gzip) + deflated(" two", Wrap::gzip)), "one two");
    EXPECT_EQ(decode("zstd", zstd_stored("one") + zstd_stored(" two")), "one two");
}

TEST(ContentCoding, WhatItDoesNotKnowIsNotGuessed) {
    EXPECT_EQ(decode("compress", "x"), "unknown");
    EXPECT_EQ(decode("gzip;q=1", "x"), "unknown");
    EXPECT_TRUE(is_identity(" identity , "));
    EXPECT_FALSE(is_identity("gzip"));
}

TEST(ContentCoding, TruncatedIsNotFinished) {
    for (const Wrap wrap : {Wrap::gzip, Wrap::zlib, Wrap::raw}) {
        const std::string whole = deflated(text_of(2000), wrap);
        const std::string_view coding = wrap == Wrap::gzip ? "gzip" : "deflate";
        EXPECT_TRUE(decode(coding, std::string_view{whole}.substr(0, whole.size() - 1)).ends_with("…"));
    }
    EXPECT_EQ(decode("gzip", ""), "…");
    EXPECT_EQ(decode("br", ""), "…");
    EXPECT_EQ(decode("zstd", zstd_stored("hello").substr(0, 9)), "…");
    EXPECT_EQ(decode("", ""), "");
}

TEST(ContentCoding, GarbageBehindTheEndIsNoMessage) {
    EXPECT_EQ(decode("gzip", deflated("one", Wrap::gzip) + "garbage"), "corrupt");
    EXPECT_EQ(decode("deflate", deflated("one", Wrap::zlib) + "x"), "corrupt");
    EXPECT_EQ(decode("br", std::string{reinterpret_cast<const char*>(br_hello), sizeof br_hello} + "x"),
              "corrupt");
    EXPECT_EQ(decode("zstd", zstd_stored("hello") + "garbage"), "corrupt");
    EXPECT_EQ(decode("gzip", "not gzip at all"), "corrupt");
}

TEST(ContentCoding, ABombStopsAtTheLimit) {
    const std::string bomb = deflated(std::string(50'000'000, '0'), Wrap::gzip);
    ASSERT_LT(bomb.size(), 60'000);
    const auto decoder = Decoder::make("gzip");
    std::string out;
    const auto result = decoder->read(bomb, out, 1000);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error(), CodingProblem::too_large);
    EXPECT_EQ(out, std::string(1000, '0'));
    EXPECT_FALSE(decoder->read("", out, 1000));  // half a stream is of no use
    EXPECT_EQ(decode("gzip, gzip", deflated(bomb, Wrap::gzip), 1U << 20U, 1000), "too large");
}

TEST(ContentCoding, ExactlyTheLimitFits) {
    EXPECT_EQ(decode("gzip", deflated("12345", Wrap::gzip), 100, 5), "12345");
    EXPECT_EQ(decode("gzip", deflated("123456", Wrap::gzip), 100, 5), "too large");
    EXPECT_EQ(decode("", "123456", 100, 5), "too large");
}

}  // namespace
}  // namespace nomiqon::metering
