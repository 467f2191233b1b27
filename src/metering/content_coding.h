#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace nomiqon::metering {

enum class CodingProblem : std::uint8_t {
    corrupt,    ///< not what the coding's specification allows, or bytes behind its end
    too_large,  ///< more output than the caller takes
};

/// Undoes the content codings of a message (RFC 9110, section 8.4), as its bytes come. One a message.
class Decoder {
  public:
    /// For the value of a Content-Encoding field: one coding or a list of at most four (`gzip, br`), in any
    /// case. gzip (RFC 1952, several members too; also `x-gzip`), deflate (zlib, RFC 1950, and the raw RFC
    /// 1951 that some send), br (RFC 7932), zstd (RFC 8878, within RFC 9659's window of 8 MiB), `identity`
    /// and nothing at all, which pass the bytes on. Null for any other.
    [[nodiscard]] static std::unique_ptr<Decoder> make(std::string_view codings);

    virtual ~Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    /// Takes the next bytes of the message and appends what they decode to, at most `limit` bytes. What was
    /// decoded before a problem stays in `out`; after one, nothing else is read.
    [[nodiscard]] virtual std::expected<void, CodingProblem> read(std::string_view in, std::string& out,
                                                                  std::size_t limit) = 0;
    /// Whether the message may end here: false inside a stream, and before the first byte of one.
    [[nodiscard]] virtual bool finished() const = 0;

  protected:
    Decoder() = default;
};

/// Whether `codings` (a Content-Encoding) leaves the bytes as they are.
[[nodiscard]] bool is_identity(std::string_view codings);

}  // namespace nomiqon::metering
