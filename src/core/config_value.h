#pragma once

// Private to the configuration loader: a JSON value that knows where it stands and reports what is wrong with
// it.

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nomiqon/core/secret.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::config_detail {

/// Something to say of a place in the file.
struct Remark {
    std::string pointer;
    std::string text;
};

/// What a load has found so far.
struct Findings {
    std::vector<Remark> problems;
    std::vector<Remark> warnings;
    std::filesystem::path base;  ///< relative paths of the file are relative to this
};

/// A view: it lives no longer than the document and the findings that it was made with.
class Value {
  public:
    Value(const nlohmann::json& data, std::string pointer, Findings& findings)
        : data_(&data), pointer_(std::move(pointer)), findings_(&findings) {}

    [[nodiscard]] const nlohmann::json& data() const { return *data_; }
    [[nodiscard]] const std::string& pointer() const { return pointer_; }
    [[nodiscard]] const std::filesystem::path& base() const { return findings_->base; }
    [[nodiscard]] Value member(const std::string& name) const;
    [[nodiscard]] Value element(std::size_t index) const;

    void problem(std::string text) const { findings_->problems.push_back({pointer_, std::move(text)}); }
    void warning(std::string text) const { findings_->warnings.push_back({pointer_, std::move(text)}); }
    [[nodiscard]] std::size_t problems() const { return findings_->problems.size(); }

    // Each reports a wrong type or range itself and is empty then. None of them repeats the value in its
    // message where it could be a secret.
    [[nodiscard]] bool expect_object() const;
    [[nodiscard]] bool expect_array() const;
    [[nodiscard]] std::optional<std::string> text() const;  ///< not empty, no control characters
    [[nodiscard]] std::optional<bool> boolean() const;
    [[nodiscard]] std::optional<std::uint64_t> count(std::uint64_t min, std::uint64_t max) const;
    [[nodiscard]] std::optional<Duration> duration(Duration min, Duration max) const;
    [[nodiscard]] std::optional<Usdc> amount() const;
    [[nodiscard]] std::optional<std::filesystem::path> path() const;  ///< made absolute
    [[nodiscard]] std::optional<std::string> one_of(std::span<const std::string_view> allowed) const;
    /// With `${file:PATH}`, `${env:NAME}` and `${cmd:COMMAND}` replaced; `references` says whether there was
    /// one.
    [[nodiscard]] std::optional<Secret> secret(bool& references) const;

    /// Refuses `name`, a member of this object that nobody knows. `known` are its siblings' names.
    void unknown_member(const std::string& name, std::span<const std::string_view> known) const;

  private:
    void wrong_type(std::string_view wanted) const;

    const nlohmann::json* data_;
    std::string pointer_;
    Findings* findings_;
};

/// One member that an object may have, and how it is read into a `Target`.
template <typename Target>
struct Member {
    std::string_view name;
    void (*read)(const Value&, Target&);
};

/// Reads an object by its table of members; whatever isn't in the table is refused.
template <typename Target>
void read_members(const Value& value, std::span<const Member<Target>> members, Target& target) {
    if (!value.expect_object()) return;
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& member : members)
        names.push_back(member.name);
    for (const auto& [name, unused] : value.data().items()) {
        bool known = false;
        for (const auto& member : members) {
            if (member.name != name) continue;
            member.read(value.member(name), target);
            known = true;
        }
        if (!known) value.unknown_member(name, names);
    }
}

/// "500ms", "60s", "5m", "1h".
[[nodiscard]] std::string format_duration(Duration duration);

/// The whole of a regular file; the error is a sentence that follows its name ("does not exist").
[[nodiscard]] std::expected<std::string, std::string> read_file(const std::filesystem::path& path,
                                                                std::size_t max_bytes);

/// What is wrong with the form of a connection URI or of key=value pairs (libpq's "Connection Strings"), or
/// nothing. Never repeats any of it: it may hold a password.
[[nodiscard]] std::optional<std::string> database_url_problem(std::string_view url);

}  // namespace nomiqon::config_detail
