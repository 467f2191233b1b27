#include "content_coding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace nomiqon::metering {
namespace {

constexpr std::size_t piece_bytes = 16UL * 1024;  // of output at a time
constexpr std::size_t max_codings = 4;
constexpr int zstd_window_log = 23;  // RFC 9659: 8 MiB is all that a decoder for HTTP must take

using Result = std::expected<void, CodingProblem>;

/// Gives the decompressor room piece by piece, and notices when there is more than `limit`: only by one byte
/// too many can "exactly the limit" be told from "beyond it".
class Output {
  public:
    Output(std::string& out, std::size_t limit) : out_(out), start_(out.size()), limit_(limit) {}

    std::pair<char*, std::size_t> room() {
        filled_ = out_.size();
        const std::size_t left = limit_ - std::min(limit_, filled_ - start_);
        const std::size_t size =
            std::min(piece_bytes, left == std::numeric_limits<std::size_t>::max() ? left : left + 1);
        out_.resize(filled_ + size);
        return {out_.data() + filled_, size};
    }
    /// How much of the room was used. False: beyond the limit.
    bool used(std::size_t size) {
        const std::size_t total = filled_ - start_ + size;
        out_.resize(start_ + std::min(total, limit_));
        return total <= limit_;
    }

  private:
    std::string& out_;
    std::size_t start_;
    std::size_t limit_;
    std::size_t filled_ = 0;
};

class Identity final : public Decoder {
  public:
    Result read(std::string_view in, std::string& out, std::size_t limit) override {
        out += in.substr(0, limit);
        if (in.size() > limit) return std::unexpected(CodingProblem::too_large);
        return {};
    }
    [[nodiscard]] bool finished() const override { return true; }
};

/// A compressed stream. Once it failed it stays so: half a stream can't be picked up again.
class Stream : public Decoder {
  public:
    Result read(std::string_view in, std::string& out, std::size_t limit) final {
        if (failed_) return std::unexpected(CodingProblem::corrupt);
        Output output{out, limit};
        Result result = decode(in, output);
        failed_ = !result.has_value();
        return result;
    }

  protected:
    virtual Result decode(std::string_view in, Output& output) = 0;

  private:
    bool failed_ = false;
};

/// gzip and both forms of deflate.
class Inflate final : public Stream {
  public:
    enum class Form : std::uint8_t { gzip, deflate };

    explicit Inflate(Form form) : form_(form) {}
    ~Inflate() override {
        if (begun_) inflateEnd(&stream_);
    }
    Inflate(const Inflate&) = delete;
    Inflate& operator=(const Inflate&) = delete;

    [[nodiscard]] bool finished() const override { return ended_; }

  private:
    Result decode(std::string_view in, Output& output) override {
        if (begun_) return inflate_all(in, output);
        head_ += in;
        if (head_.size() < 2) return {};  // deflate's first two bytes tell which form it is
        if (!begin(head_)) return std::unexpected(CodingProblem::corrupt);
        return inflate_all(std::exchange(head_, {}), output);
    }

    bool begin(std::string_view head) {
        constexpr int window = 15;
        int bits = window + 16;
        if (form_ == Form::deflate) bits = is_zlib(head) ? window : -window;
        begun_ = inflateInit2(&stream_, bits) == Z_OK;
        return begun_;
    }
    /// RFC 1950, section 2.2: method 8, window of at most 32 KiB, and a check over both bytes.
    static bool is_zlib(std::string_view head) {
        const auto cmf = static_cast<unsigned char>(head[0]);
        const auto flags = static_cast<unsigned char>(head[1]);
        return (cmf & 0x0fU) == 8 && (cmf >> 4U) <= 7 && (cmf * 256U + flags) % 31 == 0;
    }

    Result inflate_all(std::string_view in, Output& output) {
        while (!in.empty()) {
            if (ended_) {
                if (form_ != Form::gzip || inflateReset(&stream_) != Z_OK)
                    return std::unexpected(CodingProblem::corrupt);
                ended_ = false;  // another member
            }
            if (Result one = inflate_some(in, output); !one) return one;
        }
        return {};
    }
    /// Until the input is used up with all its output taken, or the stream ended.
    Result inflate_some(std::string_view& in, Output& output) {
        for (;;) {
            const std::size_t offered = std::min<std::size_t>(in.size(), std::numeric_limits<uInt>::max());
            // zlib doesn't write to its input; its interface is older than const.
            stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));  // NOLINT
            stream_.avail_in = static_cast<uInt>(offered);
            const auto [room, size] = output.room();
            stream_.next_out = reinterpret_cast<Bytef*>(room);
            stream_.avail_out = static_cast<uInt>(size);
            const int code = inflate(&stream_, Z_NO_FLUSH);
            in.remove_prefix(offered - stream_.avail_in);
            if (!output.used(size - stream_.avail_out)) return std::unexpected(CodingProblem::too_large);
            ended_ = code == Z_STREAM_END;
            if (ended_) return {};
            // Z_BUF_ERROR: nothing left to do with this input.
            if (code != Z_OK && code != Z_BUF_ERROR) return std::unexpected(CodingProblem::corrupt);
            if (in.empty() && stream_.avail_out > 0) return {};
        }
    }

    Form form_;
    z_stream stream_{};
    std::string head_{};
    bool begun_ = false;
    bool ended_ = false;
};

class Brotli final : public Stream {
  public:
    Brotli() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {}
    [[nodiscard]] bool finished() const override { return ended_; }

  private:
    struct Destroy {
        void operator()(BrotliDecoderState* state) const { BrotliDecoderDestroyInstance(state); }
    };

    Result decode(std::string_view in, Output& output) override {
        if (!state_) return std::unexpected(CodingProblem::corrupt);
        const auto* next = reinterpret_cast<const std::uint8_t*>(in.data());
        std::size_t left = in.size();
        auto code = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
        while (!ended_ && code == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
            const auto [room, size] = output.room();
            auto* to = reinterpret_cast<std::uint8_t*>(room);
            std::size_t free = size;
            code = BrotliDecoderDecompressStream(state_.get(), &left, &next, &free, &to, nullptr);
            if (!output.used(size - free)) return std::unexpected(CodingProblem::too_large);
            if (code == BROTLI_DECODER_RESULT_ERROR) return std::unexpected(CodingProblem::corrupt);
            ended_ = code == BROTLI_DECODER_RESULT_SUCCESS;
        }
        if (left > 0) return std::unexpected(CodingProblem::corrupt);
        return {};
    }

    std::unique_ptr<BrotliDecoderState, Destroy> state_;
    bool ended_ = false;
};

/// Frames one after the other are one message (RFC 8878, section 3); the library reads them so.
class Zstd final : public Stream {
  public:
    Zstd() : context_(ZSTD_createDCtx()) {
        if (context_) ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_log);
    }
    [[nodiscard]] bool finished() const override { return ended_; }

  private:
    struct Destroy {
        void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
    };

    Result decode(std::string_view in, Output& output) override {
        if (!context_) return std::unexpected(CodingProblem::corrupt);
        ZSTD_inBuffer input{.src = in.data(), .size = in.size(), .pos = 0};
        bool full = false;  // the last piece was filled up: there may be more without any input
        while (input.pos < input.size || full) {
            const auto [room, size] = output.room();
            ZSTD_outBuffer to{.dst = room, .size = size, .pos = 0};
            const std::size_t code = ZSTD_decompressStream(context_.get(), &to, &input);
            if (!output.used(to.pos)) return std::unexpected(CodingProblem::too_large);
            if (ZSTD_isError(code) != 0) return std::unexpected(CodingProblem::corrupt);
            ended_ = code == 0;
            full = !ended_ && to.pos == to.size;
        }
        return {};
    }

    std::unique_ptr<ZSTD_DCtx, Destroy> context_;
    bool ended_ = false;
};

/// Several codings: the one applied last is undone first.
class Chain final : public Decoder {
  public:
    explicit Chain(std::vector<std::unique_ptr<Decoder>> applied) : applied_(std::move(applied)) {}

    Result read(std::string_view in, std::string& out, std::size_t limit) override {
        std::string now{in};
        for (std::size_t i = applied_.size(); i-- > 1;) {
            std::string next;
            // What is still coded may be a little larger than what it stands for.
            if (Result result = applied_[i]->read(now, next, std::max(limit, limit + piece_bytes)); !result)
                return result;
            now = std::move(next);
        }
        return applied_.front()->read(now, out, limit);
    }
    [[nodiscard]] bool finished() const override {
        return std::ranges::all_of(applied_, [](const auto& decoder) { return decoder->finished(); });
    }

  private:
    std::vector<std::unique_ptr<Decoder>> applied_;
};

/// The names of a Content-Encoding, lower-case, without `identity` and empty elements (RFC 9110,
/// section 5.6.1).
std::vector<std::string> names_of(std::string_view codings) {
    std::vector<std::string> names;
    while (!codings.empty()) {
        const auto comma = std::min(codings.find(','), codings.size());
        std::string_view name = codings.substr(0, comma);
        codings.remove_prefix(std::min(comma + 1, codings.size()));
        const auto first = name.find_first_not_of(" \t");
        if (first == std::string_view::npos) continue;
        name = name.substr(first, name.find_last_not_of(" \t") - first + 1);
        std::string lower{name};
        std::ranges::transform(lower, lower.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (lower != "identity") names.push_back(std::move(lower));
    }
    return names;
}

std::unique_ptr<Decoder> make_one(std::string_view name) {
    if (name == "gzip" || name == "x-gzip") return std::make_unique<Inflate>(Inflate::Form::gzip);
    if (name == "deflate") return std::make_unique<Inflate>(Inflate::Form::deflate);
    if (name == "br") return std::make_unique<Brotli>();
    if (name == "zstd") return std::make_unique<Zstd>();
    return nullptr;
}

}  // namespace

std::unique_ptr<Decoder> Decoder::make(std::string_view codings) {
    const std::vector<std::string> names = names_of(codings);
    if (names.size() > max_codings) return nullptr;
    std::vector<std::unique_ptr<Decoder>> applied;
    for (const std::string& name : names) {
        applied.push_back(make_one(name));
        if (!applied.back()) return nullptr;
    }
    if (applied.empty()) return std::make_unique<Identity>();
    if (applied.size() == 1) return std::move(applied.front());
    return std::make_unique<Chain>(std::move(applied));
}

bool is_identity(std::string_view codings) {
    return names_of(codings).empty();
}

}  // namespace nomiqon::metering
