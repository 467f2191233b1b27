#include "answer_reader.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "answer_rules.h"
#include "content_coding.h"
#include "event_stream.h"
#include "json_skim.h"
#include "request_reader.h"

namespace nomiqon::metering {

namespace {

/// A piece of a coded answer, and what it may decode to: bounds the memory that a decompression bomb gets.
constexpr std::size_t coded_piece = 4096;
constexpr std::size_t decoded_piece = 16ULL * 1024 * 1024;
constexpr std::size_t most_held = 256ULL * 1024;

/// What kind of body an answer has. `unsaid`: its first bytes will tell.
enum class Form : std::uint8_t { unsaid, document, events, other };

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

Form form_of(std::string_view content_type) {
    std::string type{content_type.substr(0, content_type.find(';'))};
    std::ranges::transform(type, type.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    if (contains(type, "text/event-stream")) return Form::events;
    if (contains(type, "/json") || contains(type, "+json")) return Form::document;
    return Form::unsaid;
}

/// From the first bytes that aren't white space. Providers have sent JSON as text/html and streams without a
/// type.
Form form_of_bytes(std::string_view first) {
    if (first.starts_with('{') || first.starts_with('[')) return Form::document;
    for (const std::string_view field : {"data:", "event:", "id:", ":"}) {
        if (first.starts_with(field)) return Form::events;
    }
    constexpr std::size_t longest_field = 6;
    return first.size() < longest_field ? Form::unsaid : Form::other;
}

std::string codings_of(std::span<const Field> fields) {
    std::string codings;
    for (const Field& field : fields) {
        const std::array one{Field{field.name, field.value}};
        const std::string_view value = field_value(one, "content-encoding");
        if (value.empty()) continue;
        if (!codings.empty()) codings += ',';
        codings += value;
    }
    return codings;
}

class AnswerReader final : public AnswerMeter {
  public:
    AnswerReader(AnswerTerms terms, std::unique_ptr<UsageReader> reader)
        : terms_(std::move(terms)), reader_(std::move(reader)) {}

    void begin(int status, std::span<const Field> fields) override {
        answer_.status = status;
        const std::string codings = codings_of(fields);
        identity_ = is_identity(codings);
        if (!identity_) decoder_ = Decoder::make(codings);
        set_form(form_of(field_value(fields, "content-type")));
        if (!identity_ && decoder_ == nullptr) set_form(Form::other);
        splits_ = identity_ && form_ == Form::events;
        document_ = form_ == Form::document && !terms_.array_stream;
    }

    void read(std::string_view bytes, std::string& out) override {
        if (splits_) {
            stream_->read(bytes, out, handler_);
            return;
        }
        out += bytes;
        if (identity_) {
            take(bytes);
            return;
        }
        while (!bytes.empty() && decoder_ != nullptr && !answer_.unreadable) {
            std::string decoded;
            if (!decoder_->read(bytes.substr(0, coded_piece), decoded, decoded_piece))
                answer_.unreadable = true;
            take(decoded);
            bytes.remove_prefix(std::min(coded_piece, bytes.size()));
        }
        if (!bytes.empty()) reader_->reported.content = true;  // nobody could read it
    }

    Charge end(AnswerEnd how, std::string& out) override {
        if (form_ == Form::unsaid && !first_.empty()) reader_->reported.content = true;
        if (stream_) end_of_stream(how, out);
        if (how == AnswerEnd::complete) {
            if (skim_ && !skim_->complete() && skim_begun_) answer_.unreadable = true;
            if (decoder_ != nullptr && decoder_begun_ && !decoder_->finished()) answer_.unreadable = true;
        }
        answer_.whole = how == AnswerEnd::complete || is_final();
        return rule(terms_, answer_, reader_->reported);
    }

    [[nodiscard]] bool is_document() const override { return document_; }

    [[nodiscard]] bool is_final() const override {
        // A failure that the provider told inside its stream is its last word: nothing is produced behind it.
        return read_document_ || reader_->reported.final || reader_->reported.failed;
    }

    [[nodiscard]] std::string error_event(std::string_view code, std::string_view message,
                                          std::string_view request_id) const override {
        if (!splits_) return {};
        // An event that is half out is ended first: broken, as it must look.
        return (stream_->within_event() ? "\n\n" : "") + reader_->error_event(code, message, request_id);
    }

  private:
    void set_form(Form form) {
        form_ = form;
        skim_.reset();
        stream_.reset();
        const SkimLimits limits{.bytes = terms_.answer_bytes};
        if (form == Form::document) skim_.emplace(limits);
        if (form == Form::events) {
            stream_.emplace(
                EventLimits{.held_bytes = std::min(most_held, terms_.answer_bytes), .skim = limits});
        }
    }

    /// The next decoded bytes, of which nothing can be left out.
    void take(std::string_view bytes) {
        if (bytes.empty()) return;
        decoder_begun_ = true;
        if (form_ == Form::unsaid) return take_first(bytes);
        if (form_ == Form::document) return take_document(bytes);
        if (form_ == Form::other) {
            reader_->reported.content = true;
            return;
        }
        std::string passed;
        stream_->read(bytes, passed, handler_);
    }

    void take_first(std::string_view bytes) {
        if (first_.empty()) bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
        constexpr std::size_t enough = 16;
        const std::size_t count = std::min(enough, bytes.size());
        first_ += bytes.substr(0, count);
        const Form form = form_of_bytes(first_);
        if (form == Form::unsaid) return;
        set_form(form);
        take(std::exchange(first_, {}));
        take(bytes.substr(count));
    }

    void take_document(std::string_view bytes) {
        skim_begun_ = skim_begun_ || bytes.find_first_not_of(" \t\r\n") != std::string_view::npos;
        skim_->read(bytes);
        for (const std::string& element : skim_->take_elements())
            look_at({}, element);
        if (skim_->broken()) {
            answer_.unreadable = true;
            read_document_ = false;
        } else if (skim_->complete() && !skim_->is_array() && !std::exchange(read_document_, true)) {
            if (const auto answer = parse_answer(skim_->document()); answer && answer->is_object()) {
                reader_->document(*answer);
            } else {
                answer_.unreadable = true;
            }
        }
    }

    void end_of_stream(AnswerEnd how, std::string& out) {
        if (how == AnswerEnd::cut) {
            stream_->drop_held();
            return;
        }
        std::string passed;
        stream_->finish(splits_ ? out : passed, handler_);
    }

    /// The data of one event. Whether it goes to the client.
    bool look_at(std::string_view name, std::string_view data) {
        const std::size_t first = data.find_first_not_of(" \t\r\n");
        // OpenAI's `[DONE]` begins like JSON, and is none.
        const bool json =
            first != std::string_view::npos &&
            (data[first] == '{' || (data[first] == '[' && !data.substr(first).starts_with("[DONE]")));
        if (!json) {
            reader_->text_event(name, data);
            return true;
        }
        const auto parsed = parse_answer(data);
        if (!parsed || !parsed->is_object()) {
            answer_.unreadable = true;
            return true;
        }
        return reader_->event(name, *parsed) == UsageReader::Event::pass;
    }

    bool handle(const StreamEvent& event) {
        answer_.lossy = answer_.lossy || event.lossy;
        if (event.broken) {
            answer_.unreadable = true;
            return true;
        }
        return look_at(event.name, event.data);
    }

    AnswerTerms terms_;
    std::unique_ptr<UsageReader> reader_;
    const EventStream::Handler handler_ = [this](const StreamEvent& event) { return handle(event); };

    SeenAnswer answer_{};
    Form form_ = Form::unsaid;
    bool document_ = false;
    bool identity_ = true;
    bool splits_ = false;  ///< what the client gets goes through stream_
    std::unique_ptr<Decoder> decoder_{};
    bool decoder_begun_ = false;
    std::string first_{};
    std::optional<JsonSkim> skim_{};
    bool skim_begun_ = false;
    bool read_document_ = false;
    std::optional<EventStream> stream_{};
};

}  // namespace

std::unique_ptr<AnswerMeter> make_answer_meter(AnswerTerms terms, std::unique_ptr<UsageReader> reader) {
    return std::make_unique<AnswerReader>(std::move(terms), std::move(reader));
}

}  // namespace nomiqon::metering
