// Host names as the gateway compares them: RFC 1123 letters, digits and hyphens (and the underscore that DNS
// uses), IDNA 2008 with UTS 46's mapping (non-transitional), IPv4 as RFC 6943 section 3.1.1 asks (one form),
// IPv6 as RFC 5952.
//
// Two readings of one host are how a policy is walked around, so whatever has several spellings is either
// brought to one (names) or refused (addresses).

#include "nomiqon/core/host.h"

#include <idn2.h>
#include <algorithm>
#include <memory>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ip_address.h"

namespace nomiqon {
namespace {

constexpr std::size_t max_input = 1024;  // before mapping to A-labels
constexpr std::size_t max_name = 253;
constexpr std::size_t max_label = 63;
constexpr std::string_view a_label_prefix = "xn--";
constexpr int idn_flags = IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_ascii(char c) {
    return static_cast<unsigned char>(c) < 0x80;
}
char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}
bool is_name_character(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

struct IdnFree {
    void operator()(char* text) const { idn2_free(text); }
};
using IdnString = std::unique_ptr<char, IdnFree>;

/// A name in A-labels; `nullopt` if IDNA has none for it.
std::optional<std::string> to_a_labels(const std::string& name) {
    char* raw = nullptr;
    if (idn2_to_ascii_8z(name.c_str(), &raw, idn_flags) != IDN2_OK) return std::nullopt;
    const IdnString ascii{raw};
    return std::string{ascii.get()};
}

/// Whether an A-label decodes to a U-label that encodes to it again. Others are a second spelling of some
/// name, or of none at all.
bool is_true_a_label(const std::string& label) {
    char* raw = nullptr;
    if (idn2_to_unicode_8z8z(label.c_str(), &raw, idn_flags) != IDN2_OK) return false;
    const IdnString unicode{raw};
    const std::string decoded{unicode.get()};
    return decoded != label && to_a_labels(decoded) == label;
}

std::string_view last_label(std::string_view name) {
    return name.substr(name.rfind('.') + 1);
}

/// Whether resolvers and URL parsers may take the name for an IPv4 address (the URL standard's "ends in a
/// number").
bool ends_in_number(std::string_view name) {
    std::string_view label = last_label(name);
    if (std::ranges::all_of(label, is_digit)) return true;
    if (!label.starts_with("0x")) return false;
    label.remove_prefix(2);
    return std::ranges::all_of(label, is_hex);
}

std::unexpected<std::string> wrong(std::string_view message) {
    return std::unexpected(std::string{message});
}

/// Checks a name that is ASCII and lower case already. Empty: nothing is wrong.
std::string_view problem_of(std::string_view name) {
    if (name.empty()) return "the host is empty";
    if (name.size() > max_name) return "the host is longer than 253 characters";
    for (std::string_view rest = name;;) {
        const std::string_view label = rest.substr(0, rest.find('.'));
        if (label.empty()) return "the host has an empty label";
        if (label.size() > max_label) return "the host has a label of more than 63 characters";
        if (!std::ranges::all_of(label, is_name_character))
            return "the host has a character that no host name has";
        if (label.starts_with(a_label_prefix) && !is_true_a_label(std::string{label})) {
            return "the host has a label that starts with xn-- and is no IDNA name";
        }
        if (label.size() == rest.size()) return {};
        rest.remove_prefix(label.size() + 1);
    }
}

/// The inside of the brackets of an IPv6 literal.
bool is_canonical_v6(std::string_view text) {
    const auto address = IpAddress::parse(text);
    return address && !address->is_v4() && address->to_string() == text;
}

}  // namespace

std::expected<HostName, std::string> HostName::parse(std::string_view text) {
    if (text.empty()) return wrong("the host is empty");
    if (text.size() > max_input) return wrong("the host is too long");
    if (text.starts_with('[')) {
        if (!text.ends_with(']') || !is_canonical_v6(text.substr(1, text.size() - 2))) {
            return wrong("the IPv6 address is not in its canonical spelling (RFC 5952), or has a zone");
        }
        return HostName{std::string{text}, true};
    }
    if (text.contains(':'))
        return wrong("an IPv6 address must stand in brackets, and a port has no place in a host");
    if (text.contains('\0')) return wrong("the host has a character that no host name has");

    std::string name;
    if (std::ranges::all_of(text, is_ascii)) {
        name.resize(text.size());
        std::ranges::transform(text, name.begin(), to_lower);
    } else {
        auto mapped = is_utf8(text) ? to_a_labels(std::string{text}) : std::nullopt;
        if (!mapped) return wrong("the host is no IDNA name");
        name = std::move(*mapped);
    }
    if (name.ends_with('.')) name.pop_back();
    if (const std::string_view problem = problem_of(name); !problem.empty()) return wrong(problem);

    if (!ends_in_number(name)) return HostName{std::move(name), false};
    // Only as it was written: neither wide digits nor a trailing dot may turn into an address.
    const auto address = IpAddress::parse(name);
    if (name != text || !address || address->to_string() != name) {
        return wrong("the host ends in a number but is no IPv4 address in its canonical spelling");
    }
    return HostName{std::move(name), true};
}

std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
    if (text.empty() || text.size() > 5 || text[0] == '0' || !std::ranges::all_of(text, is_digit))
        return std::nullopt;
    unsigned value = 0;
    for (const char c : text)
        value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

std::expected<Endpoint, std::string> Endpoint::parse(std::string_view text,
                                                     std::optional<std::uint16_t> default_port) {
    // In brackets, colons are the address's own.
    const auto bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
    const auto host_end = bracket == std::string_view::npos ? text.find(':') : bracket + 1;
    auto host = HostName::parse(text.substr(0, host_end));
    if (!host) return std::unexpected(std::move(host.error()));

    const std::string_view rest = host_end < text.size() ? text.substr(host_end) : std::string_view{};
    if (rest.empty()) {
        if (!default_port) return wrong("the port is missing");
        return Endpoint{.host = std::move(*host), .port = *default_port};
    }
    const auto port = rest.starts_with(':') ? parse_port(rest.substr(1)) : std::nullopt;
    if (!port) return wrong("the port is not 1 to 65535 without leading zero");
    return Endpoint{.host = std::move(*host), .port = *port};
}

}  // namespace nomiqon
