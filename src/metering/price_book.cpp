#include "nomiqon/metering/price_book.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <unordered_map>

#include "built_in_prices.h"
#include "model_price_reader.h"
#include "nomiqon/core/encoding.h"
#include "price_document.h"

namespace nomiqon::metering {
namespace {

constexpr std::string_view specification = "sample_spec";  // LiteLLM's description of its own format
constexpr std::size_t version_digits = 16;
constexpr std::streamsize largest_document = 64LL * 1024 * 1024;  // LiteLLM's whole file has 3.5 MB

std::vector<PriceProblem> of_document(std::string message) {
    return {{.entry = {}, .message = std::move(message)}};
}

bool all_digits(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_date(std::string_view year, std::string_view month, std::string_view day) {
    return all_digits(year) && all_digits(month) && all_digits(day) && year.starts_with("20") &&
           month >= "01" && month <= "12" && day >= "01" && day <= "31";
}

/// `gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `claude-sonnet-4-5@20250929` → the name without its
/// date; the name itself where it ends in none.
std::string_view without_date(std::string_view name) {
    if (const auto at = name.find('@'); at != std::string_view::npos) return name.substr(0, at);
    if (name.size() > 11) {
        const auto end = name.substr(name.size() - 11);
        if (end[0] == '-' && end[5] == '-' && end[8] == '-' &&
            is_date(end.substr(1, 4), end.substr(6, 2), end.substr(9, 2)))
            return name.substr(0, name.size() - 11);
    }
    if (name.size() > 9) {
        const auto end = name.substr(name.size() - 9);
        if (end[0] == '-' && is_date(end.substr(1, 4), end.substr(5, 2), end.substr(7, 2)))
            return name.substr(0, name.size() - 9);
    }
    return name;
}

/// `ft:gpt-4o-2024-08-06:my-org::id` → `ft:gpt-4o-2024-08-06`; empty: no such name.
std::string_view fine_tuned_base(std::string_view model) {
    constexpr std::string_view prefix = "ft:";
    if (!model.starts_with(prefix)) return {};
    const auto end = model.find(':', prefix.size());
    return end == std::string_view::npos ? std::string_view{} : model.substr(0, end);
}

}  // namespace

struct PriceBook::Impl {
    using Names = std::unordered_map<std::string_view, const ModelPrice*>;

    std::string document, version;
    std::map<std::string, ModelPrice, std::less<>>
        entries;  // its nodes stay where they are: the names view them
    std::vector<PriceProblem> unpriced;
    std::unordered_map<std::string_view, Names> by_provider;

    void read(const RawValue& root) {
        // Which of two entries holds isn't known, so neither does.
        std::set<std::string_view> seen, repeated;
        for (const auto& member : root.members)
            if (!seen.insert(member.name).second) repeated.insert(member.name);
        for (const auto key : repeated)
            unpriced.push_back({.entry = std::string{key}, .message = "the entry is there twice"});
        for (const auto& [key, value] : root.members) {
            if (key == specification || repeated.contains(key)) continue;
            auto price = ModelPriceReader::read(key, value);
            if (price) {
                entries.emplace(key, *std::move(price));
            } else {
                unpriced.push_back({.entry = key, .message = std::move(price.error())});
            }
        }
        std::ranges::sort(unpriced, {}, &PriceProblem::entry);
    }

    void name_entries() {
        for (const auto& [key, price] : entries)
            by_provider[price.provider()].emplace(key, &price);
        for (const auto& [key, price] : entries) {
            const std::string_view name{key};
            const auto& provider = price.provider();
            if (name.size() > provider.size() + 1 && name.starts_with(provider) &&
                name[provider.size()] == '/')
                by_provider[provider].emplace(name.substr(provider.size() + 1),
                                              &price);  // after the exact name
        }
    }

    [[nodiscard]] const ModelPrice* look_up(std::string_view provider, std::string_view model) const {
        const auto names = by_provider.find(provider);
        if (names == by_provider.end()) return nullptr;
        const auto found = names->second.find(model);
        return found == names->second.end() ? nullptr : found->second;
    }
};

PriceBook::PriceBook() : impl_(std::make_unique<Impl>()) {}
PriceBook::~PriceBook() = default;

std::expected<std::shared_ptr<const PriceBook>, std::vector<PriceProblem>> PriceBook::parse(
    std::string_view json) {
    const auto root = read_price_document(json);
    if (!root) return std::unexpected(std::vector{root.error()});
    auto book = std::make_shared<PriceBook>();
    auto& impl = *book->impl_;
    impl.read(*root);
    if (impl.entries.empty() && impl.unpriced.empty())
        return std::unexpected(of_document("the price book has no models"));
    impl.name_entries();
    impl.document = json;
    impl.version = "pb_" + sha256_hex(json).substr(0, version_digits);
    return book;
}

std::expected<std::shared_ptr<const PriceBook>, std::vector<PriceProblem>> PriceBook::load(
    const std::filesystem::path& file) {
    std::ifstream stream{file, std::ios::binary | std::ios::ate};
    const auto size = stream ? static_cast<std::streamsize>(stream.tellg()) : -1;
    if (size < 0) return std::unexpected(of_document("the price book " + file.string() + " can't be read"));
    if (size > largest_document)
        return std::unexpected(of_document("the price book " + file.string() + " has more than 64 MiB"));
    std::string text(static_cast<std::size_t>(size), '\0');
    stream.seekg(0);
    if (!stream.read(text.data(), size))
        return std::unexpected(of_document("the price book " + file.string() + " can't be read"));
    return parse(text);
}

std::shared_ptr<const PriceBook> PriceBook::built_in() {
    // A value that never changes. Its test says that it can be read.
    static const std::shared_ptr<const PriceBook> book =
        parse(built_in_prices()).value_or(std::make_shared<const PriceBook>());
    return book;
}

const std::string& PriceBook::version() const {
    return impl_->version;
}
const std::string& PriceBook::document() const {
    return impl_->document;
}

const ModelPrice* PriceBook::find(std::string_view provider, std::string_view model) const {
    if (const auto* const found = impl_->look_up(provider, model)) return found;
    const auto base = fine_tuned_base(model);
    return base.empty() ? nullptr : impl_->look_up(provider, base);
}

const ModelPrice* PriceBook::find_answered(std::string_view provider, std::string_view asked,
                                           std::string_view answered) const {
    if (answered.empty() || answered == asked) return find(provider, asked);
    if (const auto* const found = find(provider, answered)) return found;
    return without_date(answered) == asked ? find(provider, asked) : nullptr;
}

const ModelPrice* PriceBook::entry(std::string_view key) const {
    const auto found = impl_->entries.find(key);
    return found == impl_->entries.end() ? nullptr : &found->second;
}

std::vector<PriceProblem> PriceBook::check() const {
    return impl_->unpriced;
}

std::vector<std::string> PriceBook::keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, price] : impl_->entries)
        keys.push_back(key);
    return keys;
}

}  // namespace nomiqon::metering
