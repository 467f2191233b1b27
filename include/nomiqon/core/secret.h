#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace nomiqon {

/// A text that nobody but its recipient may see: a provider's credential. Owns its memory, which is wiped
/// (sodium_memzero) when the secret ends, is replaced or moved from. Copies are secrets of their own. It
/// can't be written to a stream or a log by accident: only `reveal` gives the text.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string_view text);
    /// Wipes `text` too.
    [[nodiscard]] static Secret taken_from(std::string& text);
    [[nodiscard]] static Secret joined(std::span<const Secret> parts);

    Secret(const Secret& other) : Secret(other.reveal()) {}
    Secret(Secret&& other) noexcept;
    Secret& operator=(const Secret& other);
    Secret& operator=(Secret&& other) noexcept;
    ~Secret() = default;

    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// Lives as long as this secret does. What it is copied into isn't wiped.
    [[nodiscard]] std::string_view reveal() const { return {text_.get(), size_}; }

    /// In a time that doesn't depend on where two secrets of one length differ.
    friend bool operator==(const Secret& a, const Secret& b) noexcept;

  private:
    struct Wipe {
        std::size_t size;
        Wipe() noexcept : size(0) {}
        explicit Wipe(std::size_t the_size) noexcept : size(the_size) {}
        void operator()(char* text) const noexcept;
    };
    // On the heap whatever its length: nothing stays in the place of one that was moved.
    std::unique_ptr<char[], Wipe> text_;
    std::size_t size_ = 0;
};

/// Overwrites what `text` holds, and empties it.
void wipe(std::string& text) noexcept;

}  // namespace nomiqon
