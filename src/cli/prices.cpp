#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "commands.h"
#include "inputs.h"
#include "ledger_progress.h"
#include "nomiqon/core/suggestion.h"
#include "nomiqon/metering/price_table.h"

namespace nomiqon::cli {
namespace {

using metering::PriceBook;
using metering::PriceEntry;
using metering::PriceProblem;
using metering::PriceRow;

constexpr std::size_t largest_file = 64UL * 1024 * 1024;  // LiteLLM's own has 3.5 MB

/// A price book is larger than what read_text takes.
Outcome<std::string> read_prices(const std::string& file) {
    std::ifstream stream;
    if (file != "-") {
        stream.open(file, std::ios::binary);
        if (!stream) return failed("can't read the file " + in_backticks(file));
    }
    std::istream& from = file == "-" ? std::cin : stream;
    std::string text;
    std::array<char, 65536> part{};
    while (from.read(part.data(), part.size()) || from.gcount() > 0) {
        text.append(part.data(), static_cast<std::size_t>(from.gcount()));
        if (text.size() > largest_file) return failed(in_backticks(file) + " has more than 64 MiB");
    }
    if (from.bad() || (file != "-" && std::filesystem::is_directory(file)))
        return failed("can't read the file " + in_backticks(file));
    return text;
}

std::unexpected<Failure> unusable(const std::vector<PriceProblem>& problems) {
    std::string message;
    for (const auto& problem : problems)
        message += (message.empty() ? "" : "; ") + problem.message;
    return failed(message);
}

Outcome<std::shared_ptr<const PriceBook>> open_book(const std::string& file) {
    if (file.empty()) return PriceBook::built_in();
    const auto text = read_prices(file);
    if (!text) return std::unexpected(text.error());
    auto book = PriceBook::parse(*text);
    if (!book) return unusable(book.error());
    return *std::move(book);
}

Json problems_json(const std::vector<PriceProblem>& problems) {
    Json list = Json::array();
    for (const auto& problem : problems)
        list.push_back({{"entry", problem.entry}, {"message", problem.message}});
    return list;
}

std::string entry_count(std::size_t count) {
    return grouped(static_cast<std::int64_t>(count)) + (count == 1 ? " entry" : " entries");
}

Json limit_json(const std::optional<std::int64_t>& limit) {
    return limit ? Json(*limit) : Json(nullptr);
}
std::string limit_text(const std::optional<std::int64_t>& limit) {
    return limit ? grouped(*limit) : std::string{};
}

Json entry_json(const PriceEntry& entry) {
    Json rates = Json::array();
    for (const auto& row : entry.rows)
        rates.push_back({{"what", row.what},
                         {"tier", row.tier.empty() ? Json(nullptr) : Json(row.tier)},
                         {"above", row.above},
                         {"usd", row.usd},
                         {"per", row.per}});
    Json factors = Json::object();
    for (const auto& factor : entry.factors)
        factors[factor.what] = factor.factor;
    return {{"model", entry.key},
            {"provider", entry.provider},
            {"mode", entry.mode},
            {"free", entry.free},
            {"maxInputTokens", limit_json(entry.max_input_tokens)},
            {"maxOutputTokens", limit_json(entry.max_output_tokens)},
            {"rates", std::move(rates)},
            {"multipliers", std::move(factors)}};
}

/// What a call of the plain kind costs; empty where the entry has no such rate.
std::string plain_rate(const PriceEntry& entry, std::string_view what) {
    const auto found = std::ranges::find_if(entry.rows, [&](const PriceRow& row) {
        return row.what == what && row.tier == "default" && row.above == 0;
    });
    return found == entry.rows.end() ? std::string{} : found->usd;
}

/// What is no token, such as `queries 0.005`; of web searches, the dearest size alone.
std::string other_rates(const PriceEntry& entry) {
    std::string text;
    for (const auto& row : entry.rows)
        if (row.tier.empty() && !row.what.starts_with("web_search_"))
            text += (text.empty() ? "" : ", ") + row.what + ' ' + row.usd +
                    (row.per == "one" ? "" : " a " + row.per);
    return text;
}

void show_list(Context& context, const PriceBook& book, const std::vector<PriceEntry>& entries) {
    Table table{.columns = {{"MODEL"},
                            {"PROVIDER"},
                            {"INPUT", true},
                            {"CACHED", true},
                            {"OUTPUT", true},
                            {"READS", true},
                            {"WRITES", true},
                            {"OTHER"}},
                .rows = {}};
    for (const auto& entry : entries)
        table.rows.push_back({entry.key, entry.provider, plain_rate(entry, "input"),
                              plain_rate(entry, "cache_read"), plain_rate(entry, "output"),
                              limit_text(entry.max_input_tokens), limit_text(entry.max_output_tokens),
                              other_rates(entry)});
    context.out.table(table, "no model");
    context.out.note("USD for a million tokens; reads and writes: tokens at most. Price book " +
                     book.version());
}

void show_entry(Context& context, const PriceEntry& entry) {
    Fields fields{{"model", entry.key},
                  {"provider", entry.provider},
                  {"mode", entry.mode},
                  {"reads at most", limit_text(entry.max_input_tokens)},
                  {"writes at most", limit_text(entry.max_output_tokens)},
                  {"free", entry.free ? "yes" : ""}};
    for (const auto& factor : entry.factors)
        fields.emplace_back(factor.what == "*" ? "any region" : factor.what, "× " + factor.factor);
    context.out.fields(fields);
    Table table{.columns = {{"WHAT"}, {"TIER"}, {"TOKENS READ"}, {"USD", true}, {"PER"}}, .rows = {}};
    for (const auto& row : entry.rows)
        table.rows.push_back({row.what, row.tier,
                              row.above == 0 ? std::string{} : "above " + grouped(row.above), row.usd,
                              row.per});
    context.out.table(table, "no rate above zero");
}

/// The keys that `model` can mean: the key itself, else those of it at any provider.
std::vector<std::string> matching_keys(const PriceBook& book, const std::string& model) {
    if (const auto keys = book.keys(); !std::ranges::binary_search(keys, model)) {
        std::vector<std::string> matches;
        std::ranges::copy_if(keys, std::back_inserter(matches),
                             [&](const std::string& key) { return key.ends_with('/' + model); });
        return matches;
    }
    return {model};
}

std::unexpected<Failure> no_such_model(const PriceBook& book, const std::string& model) {
    for (const auto& problem : book.check())
        if (problem.entry == model) return failed(in_backticks(model) + " has no price: " + problem.message);
    const auto keys = book.keys();
    const std::vector<std::string_view> candidates{keys.begin(), keys.end()};
    const auto near = nearest_name(model, candidates);
    return failed("the price book " + book.version() + " has no model " + in_backticks(model),
                  near ? "did you mean " + in_backticks(*near) + '?' : std::string{});
}

/// All or nothing: what reads the file never sees a half of it.
Outcome<void> write_file(const std::string& path, const std::string& text) {
    const std::string temporary = path + ".new";
    std::error_code error;
    {
        std::ofstream stream{temporary, std::ios::binary | std::ios::trunc};
        stream << text;
        if (stream.flush()) std::filesystem::rename(temporary, path, error);
        if (stream && !error) return {};
    }
    std::filesystem::remove(temporary, error);
    return failed("can't write the file " + in_backticks(path));
}

}  // namespace

Outcome<void> show_prices(Context& context, const ShowPrices& options) {
    const auto book = open_book(options.file);
    if (!book) return std::unexpected(book.error());
    const auto keys = options.model.empty() ? (*book)->keys() : matching_keys(**book, options.model);
    if (keys.empty() && !options.model.empty()) return no_such_model(**book, options.model);
    std::vector<PriceEntry> entries;
    for (const auto& key : keys) {
        auto entry = metering::describe(**book, key);
        if (entry && (options.provider.empty() || entry->provider == options.provider))
            entries.push_back(*std::move(entry));
    }
    if (context.out.json()) {
        Json models = Json::array();
        for (const auto& entry : entries)
            models.push_back(entry_json(entry));
        context.out.data({{"version", (*book)->version()}, {"models", std::move(models)}});
    } else if (options.model.empty()) {
        show_list(context, **book, entries);
    } else {
        for (const auto& entry : entries) {
            if (&entry != entries.data()) context.out.line("");
            show_entry(context, entry);
        }
    }
    return {};
}

Outcome<void> check_prices(Context& context, const CheckPrices& options) {
    const auto book = open_book(options.file);
    if (!book) return std::unexpected(book.error());
    const auto unpriced = (*book)->check();
    const auto priced = (*book)->keys().size();
    if (context.out.json()) {
        context.out.data(
            {{"version", (*book)->version()}, {"priced", priced}, {"unpriced", problems_json(unpriced)}});
    } else {
        for (const auto& problem : unpriced)
            context.out.line(problem.entry + ": " + problem.message);
        context.out.line((*book)->version() + ": " + entry_count(priced) + " with a price, " +
                         grouped(static_cast<std::int64_t>(unpriced.size())) + " without");
    }
    if (options.strict && !unpriced.empty()) return std::unexpected(Failure{.message = {}});  // all was said
    return {};
}

Outcome<void> import_prices(Context& context, const ImportPrices& options) {
    const auto text = read_prices(options.file);
    if (!text) return std::unexpected(text.error());
    const auto imported =
        metering::import_prices(*text, {.providers = options.providers, .models = options.models});
    if (!imported) return unusable(imported.error());
    if (imported->kept == 0)
        return failed("no entry of " + in_backticks(options.file) + " is wanted and can be priced");
    if (const auto written = write_file(options.output, imported->document); !written) return written;
    const auto book = PriceBook::parse(imported->document);
    const std::string version = book ? (*book)->version() : std::string{};
    if (context.out.json()) {
        context.out.data({{"version", version},
                          {"output", options.output},
                          {"kept", imported->kept},
                          {"leftOut", problems_json(imported->left_out)}});
        return {};
    }
    for (const auto& problem : imported->left_out)
        context.out.note("left out " + problem.entry + ": " + problem.message);
    context.out.line(version + ": " + entry_count(imported->kept) + " in " + options.output + ", " +
                     grouped(static_cast<std::int64_t>(imported->left_out.size())) + " left out");
    return {};
}

}  // namespace nomiqon::cli
