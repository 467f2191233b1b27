#include "nomiqon/core/encoding.h"

#include <gtest/gtest.h>

namespace nomiqon {
namespace {

Bytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

TEST(Base58, MatchesPublishedExamples) {
    // draft-msporny-base58, section 5.
    EXPECT_EQ(base58_encode(bytes("Hello World!")), "2NEpo7TZRRrLZSi2U");
    EXPECT_EQ(base58_encode(*hex_decode("0000287fb4cd")), "11233QC4");
    EXPECT_EQ(base58_decode("2NEpo7TZRRrLZSi2U"), bytes("Hello World!"));
    EXPECT_EQ(base58_decode("11233QC4"), hex_decode("0000287fb4cd"));
}

TEST(Base58, KeepsLeadingZerosAndNothing) {
    EXPECT_EQ(base58_encode({}), "");
    EXPECT_EQ(base58_decode(""), Bytes{});
    EXPECT_EQ(base58_encode(Bytes(32, 0)), std::string(32, '1'));
    EXPECT_EQ(base58_decode(std::string(32, '1')), Bytes(32, 0));
}

TEST(Base58, RefusesForeignCharacters) {
    for (const std::string_view text : {"0", "O", "I", "l", " 2", "2 ", "2+", "\xc3\xa9", "-"}) {
        EXPECT_EQ(base58_decode(text), std::nullopt) << text;
    }
    EXPECT_EQ(base58_decode(std::string_view{"2\0", 2}), std::nullopt);
}

TEST(Base58, StopsAtTheLimitWhateverTheLength) {
    EXPECT_TRUE(base58_decode(base58_encode(Bytes(32, 0xff)), 32));
    EXPECT_EQ(base58_decode(base58_encode(Bytes(33, 0xff)), 32), std::nullopt);
    EXPECT_EQ(base58_decode(std::string(33, '1'), 32), std::nullopt);
    EXPECT_EQ(base58_decode(std::string(10'000'000, 'z')), std::nullopt);
    EXPECT_EQ(base58_decode(std::string(10'000'000, '1')), std::nullopt);
}

TEST(Base64, MatchesRfc4648) {
    EXPECT_EQ(base64_encode(""), "");
    EXPECT_EQ(base64_encode("f"), "Zg==");
    EXPECT_EQ(base64_encode("fo"), "Zm8=");
    EXPECT_EQ(base64_encode("foo"), "Zm9v");
    EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64_decode("Zg=="), "f");
    EXPECT_EQ(base64_decode("Zm8="), "fo");
    EXPECT_EQ(base64_decode("Zm9v"), "foo");
}

TEST(Base64, PaddingIsOptionalButRight) {
    EXPECT_EQ(base64_decode("Zg"), "f");
    EXPECT_EQ(base64_decode("Zm8"), "fo");
    for (const std::string_view text : {"Zg=", "Zg===", "=", "==", "====", "Zm9v=", "Zm9v==", "Z",
                                        "Zg==Zg==", "Zh==", "Z g=", "Zg-_", "Zm9v\n"}) {
        EXPECT_EQ(base64_decode(text), std::nullopt) << text;
    }
}

TEST(Base64Url, IsUnpaddedAndStrict) {
    EXPECT_EQ(base64url_encode(*hex_decode("fbff")), "-_8");
    EXPECT_EQ(base64url_decode("-_8"), std::string("\xfb\xff"));
    EXPECT_EQ(base64url_decode(""), "");
    for (const std::string_view text : {"-_8=", "+/8", "-_9", "-", "-_8-_", " -_8", "-_8\n", "Zh"}) {
        EXPECT_EQ(base64url_decode(text), std::nullopt) << text;
    }
}

TEST(Base64Url, ReturnsWhatWasEncoded) {
    Bytes data;
    for (int length = 0; length < 70; ++length, data.push_back(static_cast<std::uint8_t>(length * 37))) {
        const auto decoded = base64url_decode(base64url_encode(data));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(bytes(*decoded), data);
        EXPECT_EQ(base58_decode(base58_encode(data), 70), data);
    }
}

TEST(Hex, ReadsBothCasesAndWritesLower) {
    EXPECT_EQ(hex_encode(*hex_decode("00fFaB")), "00ffab");
    EXPECT_EQ(hex_decode("0"), std::nullopt);
    EXPECT_EQ(hex_decode("0g"), std::nullopt);
    EXPECT_EQ(hex_decode("0x"), std::nullopt);
}

TEST(Sha256, MatchesFips180) {
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Utf8, TakesWellFormedSequences) {
    for (const std::string_view text :
         {"", "plain", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
          "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "eight bytes and then \xc3\xa9"}) {
        EXPECT_TRUE(is_utf8(text)) << text;
    }
    EXPECT_TRUE(is_utf8(std::string_view{"\0", 1}));
}

TEST(Utf8, RefusesOverlongSurrogateTruncatedAndTooLarge) {
    for (const std::string_view text :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82",
          "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xff", "\xfe", "eight bytes and then \xc3", "aaaaaaaa\x80"}) {
        EXPECT_FALSE(is_utf8(text)) << text;
    }
}

}  // namespace
}  // namespace nomiqon
