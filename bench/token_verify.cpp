// Verifications of spend tokens a second on one core: good single-use tokens, and what costs an attacker
// nothing.

#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "nomiqon/token/spend_token.h"

namespace {

using namespace nomiqon;

constexpr std::int64_t now = 1'795'034'304;
constexpr token::VerifyContext context{.now = now, .audience = "nomiqon"};
constexpr std::size_t distinct_tokens = 512;
constexpr double run_seconds = 2;

double cpu_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

std::vector<std::string> make(const std::function<std::string(std::size_t)>& one) {
    std::vector<std::string> tokens;
    for (std::size_t i = 0; i < distinct_tokens; ++i)
        tokens.push_back(one(i));
    return tokens;
}

void measure(const char* what, const std::vector<std::string>& tokens, bool good) {
    const double start = cpu_seconds();
    std::size_t count = 0;
    std::size_t unexpected = 0;
    while (cpu_seconds() - start < run_seconds) {
        for (const auto& text : tokens)
            unexpected += token::verify(text, context).has_value() != good ? 1U : 0U;
        count += tokens.size();
    }
    const double seconds = cpu_seconds() - start;
    std::printf("%-28s %10.0f/s %8.2f us each%s\n", what, static_cast<double>(count) / seconds,
                seconds / static_cast<double>(count) * 1e6, unexpected == 0 ? "" : "  WRONG ANSWERS");
}

}  // namespace

int main() {
    const auto key = token::SigningKey::generate();
    const auto good = make([&](std::size_t) {
        return key.mint({.iat = now,
                         .exp = now + 60,
                         .max = Usdc::parse("0.05"),
                         .htm = "POST",
                         .htu = "https://api.openai.com/v1/chat/completions",
                         .ref = "run-42/task-7"});
    });
    measure("valid", good, true);
    measure("forged signature", make([&](std::size_t i) {
                std::string text = good[i];
                text[text.size() - 20] = text[text.size() - 20] == 'A' ? 'B' : 'A';
                return text;
            }),
            false);
    measure("wrong audience, signed",
            make([&](std::size_t) { return key.mint({.audience = "other", .iat = now, .exp = now + 60}); }),
            false);
    measure("2,048 dots", make([](std::size_t) { return std::string(token::max_token_length, '.'); }), false);
    measure("2,048 characters of base64", make([](std::size_t i) {
                std::string text(token::max_token_length, static_cast<char>('A' + i % 26));
                text[40] = '.';
                text[text.size() - 87] = '.';
                return text;
            }),
            false);
}
