#include "event_stream.h"

#include <algorithm>
#include <utility>

namespace nomiqon::metering {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::size_t longest_field_name = 16;  ///< ours have four and five letters
constexpr std::size_t longest_event_name = 128;

}  // namespace

void EventStream::read(std::string_view bytes, std::string& out, const Handler& handle) {
    while (!started_ && !bytes.empty()) {
        if (mark_ < byte_order_mark.size() && bytes.front() == byte_order_mark[mark_]) {
            hold(bytes.substr(0, 1), out);
            bytes.remove_prefix(1);
            started_ = ++mark_ == byte_order_mark.size();
        } else {
            started_ = true;
            take(byte_order_mark.substr(0, mark_));  // it was none
        }
    }
    while (!bytes.empty()) {
        if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
            // The second half of a line's end. Where that line ended an event, it belongs to that.
            if (!held_.empty() || passing_) {
                hold(bytes.substr(0, 1), out);
            } else if (shown_) {
                out += '\n';
            }
            bytes.remove_prefix(1);
            continue;
        }
        const std::size_t end = bytes.find_first_of("\r\n");
        const std::string_view part = bytes.substr(0, end);
        if (!part.empty()) {
            hold(part, out);
            take(part);
        }
        if (end == std::string_view::npos) return;
        after_cr_ = bytes[end] == '\r';
        hold(bytes.substr(end, 1), out);
        end_of_line(out, handle);
        bytes.remove_prefix(end + 1);
    }
}

void EventStream::finish(std::string& out, const Handler& handle) {
    if (!line_empty_) end_of_line(out, handle);
    end_of_event(out, handle);
}

void EventStream::hold(std::string_view bytes, std::string& out) {
    if (!passing_ && held_.size() + bytes.size() > limits_.held_bytes) {
        passing_ = true;
        out += std::exchange(held_, {});
    }
    (passing_ ? out : held_) += bytes;
}

/// A part of a line, without its end.
void EventStream::take(std::string_view part) {
    if (part.empty()) return;
    line_empty_ = false;
    if (line_ == Line::field) {
        const std::size_t colon = part.find(':');
        const std::string_view name = part.substr(0, colon);
        field_name_ += name.substr(0, longest_field_name - std::min(longest_field_name, field_name_.size()));
        if (colon == std::string_view::npos) return;
        part.remove_prefix(colon + 1);
        line_ = Line::value_begins;
        field_ = field_name_ == "data" ? Field::data : field_name_ == "event" ? Field::event : Field::other;
        if (field_ == Field::event) name_.clear();
    }
    if (line_ == Line::value_begins && !part.empty()) {
        if (part.front() == ' ') part.remove_prefix(1);
        line_ = Line::value;
        if (field_ == Field::data && std::exchange(in_data_, true)) take_value("\n");
    }
    take_value(part);
}

void EventStream::take_value(std::string_view part) {
    if (part.empty() || field_ == Field::other) return;
    if (field_ == Field::event) {
        name_ += part.substr(0, longest_event_name - std::min(longest_event_name, name_.size()));
        return;
    }
    has_data_ = true;
    if (!skim_ && data_.size() + part.size() > limits_.held_bytes) {
        skim_.emplace(limits_.skim);
        skim_->read(std::exchange(data_, {}));
    }
    if (skim_) {
        skim_->read(part);
    } else {
        data_ += part;
    }
}

void EventStream::end_of_line(std::string& out, const Handler& handle) {
    if (line_empty_) return end_of_event(out, handle);
    line_ = Line::field;
    field_ = Field::other;
    field_name_.clear();
    line_empty_ = true;
}

void EventStream::end_of_event(std::string& out, const Handler& handle) {
    bool show = true;
    if (has_data_) {
        StreamEvent event{.name = name_, .data = data_};
        if (skim_) {
            event.broken = skim_->broken() || !skim_->complete() || skim_->is_array();
            event.lossy = skim_->lossy();
            event.data = event.broken ? std::string_view{} : std::string_view{skim_->document()};
        }
        show = handle(event);
    }
    if (show) out += held_;
    shown_ = show || passing_;
    held_.clear();
    passing_ = false;
    name_.clear();
    data_.clear();
    skim_.reset();
    has_data_ = false;
    in_data_ = false;
}

}  // namespace nomiqon::metering
