#include "nomiqon/core/secret.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

namespace nomiqon {

void Secret::Wipe::operator()(char* text) const noexcept {
    sodium_memzero(text, size);
    delete[] text;
}

Secret::Secret(std::string_view text) : size_(text.size()) {
    if (text.empty()) return;
    text_ = std::unique_ptr<char[], Wipe>(new char[size_], Wipe(size_));
    std::ranges::copy(text, text_.get());
}

Secret Secret::taken_from(std::string& text) {
    Secret secret{std::string_view(text)};
    wipe(text);
    return secret;
}

Secret Secret::joined(std::span<const Secret> parts) {
    Secret whole;
    for (const auto& part : parts)
        whole.size_ += part.size_;
    if (whole.empty()) return whole;
    whole.text_ = std::unique_ptr<char[], Wipe>(new char[whole.size_], Wipe(whole.size_));
    char* end = whole.text_.get();
    for (const auto& part : parts)
        end = std::ranges::copy(part.reveal(), end).out;
    return whole;
}

Secret::Secret(Secret&& other) noexcept
    : text_(std::move(other.text_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(const Secret& other) {
    if (this != &other) *this = Secret(other);
    return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        text_ = std::move(other.text_);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

bool operator==(const Secret& a, const Secret& b) noexcept {
    return a.size_ == b.size_ && (a.empty() || sodium_memcmp(a.text_.get(), b.text_.get(), a.size_) == 0);
}

void wipe(std::string& text) noexcept {
    // The bytes behind the text too: it may have been longer.
    text.resize(text.capacity());
    sodium_memzero(text.data(), text.size());
    text.clear();
}

}  // namespace nomiqon
