#include "wire.h"

#include <fmt/format.h>
#include <chrono>
#include <limits>
#include <pqxx/binarystring>
#include <stdexcept>
#include <unordered_map>

namespace nomiqon::ledger {
namespace {

// Text ----------------------------------------------------------------------------------------------------

// PostgreSQL takes only valid UTF-8 without NUL, and refuses the batch otherwise. What agents say in tokens
// and headers was checked; what an answer names as its model was not.
std::string as_text(const std::string& value) {
    const bool is_plain =
        std::ranges::all_of(value, [](char c) { return c != '\0' && static_cast<unsigned char>(c) < 0x80; });
    if (is_plain) return value;
    const std::string replaced =
        nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::string text = nlohmann::json::parse(replaced).get<std::string>();
    std::erase(text, '\0');
    return text;
}

// PostgreSQL's binary format (its `send` and `receive` functions): parsing text cost a batch a tenth of its
// time.

/// The types of the built-in columns, which are the same in every database (pg_type.dat).
enum class ColumnType : std::uint32_t { boolean = 16, bigint = 20, integer = 23, text = 25, date = 1082 };
constexpr std::uint32_t null_length = 0xFFFF'FFFF;

void put_bytes(std::string& to, std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;)
        to += static_cast<char>(value >> (8 * i));
}
void put(std::string& to, std::uint32_t value) {
    put_bytes(to, value, 4);
}

/// Columns of a row of a composite type: each its type, its length, its bytes.
class Columns {
  public:
    explicit Columns(std::size_t size) { bytes_.reserve(size); }

    void add(const std::string& value) {
        const std::string text = as_text(value);
        begin(ColumnType::text, static_cast<std::uint32_t>(text.size()));
        bytes_ += text;
    }
    void add_or_null(const std::string& value) { value.empty() ? add_null(ColumnType::text) : add(value); }
    void add_integer(std::int32_t value) {
        begin(ColumnType::integer, 4);
        put(bytes_, static_cast<std::uint32_t>(value));
    }
    void add(std::int64_t value) {
        begin(ColumnType::bigint, 8);
        put_bytes(bytes_, static_cast<std::uint64_t>(value), 8);
    }
    void add(const std::optional<Usdc>& amount) {
        amount ? add(amount->nanos()) : add_null(ColumnType::bigint);
    }
    void add(bool value) {
        begin(ColumnType::boolean, 1);
        bytes_ += value ? '\1' : '\0';
    }
    void add(Day day) {
        constexpr Day first{std::chrono::year{2000} / 1 / 1};
        begin(ColumnType::date, 4);
        put(bytes_, static_cast<std::uint32_t>((day - first).count()));
    }
    void add_null(ColumnType type) { begin(type, null_length); }
    [[nodiscard]] std::string take() && { return std::move(bytes_); }

  private:
    void begin(ColumnType type, std::uint32_t length) {
        put(bytes_, static_cast<std::uint32_t>(type));
        put(bytes_, length);
    }
    std::string bytes_;
};

/// An array of rows: their number and type, then each row's length, number of columns, and columns.
class Rows {
  public:
    Rows(std::uint32_t type, std::uint32_t columns, std::size_t rows, std::size_t row_size)
        : columns_(columns) {
        bytes_.reserve(20 + rows * row_size);
        put(bytes_, rows == 0 ? 0 : 1);  // dimensions
        put(bytes_, 0);                  // no row is null
        put(bytes_, type);
        if (rows == 0) return;
        put(bytes_, static_cast<std::uint32_t>(rows));
        put(bytes_, 1);  // the first one's place
    }
    /// What each batch decides anew, and what was known before.
    void add(std::string_view first, std::string_view rest = {}) {
        put(bytes_, static_cast<std::uint32_t>(4 + first.size() + rest.size()));
        put(bytes_, columns_);
        bytes_ += first;
        bytes_ += rest;
    }
    [[nodiscard]] pqxx::binarystring take() const { return {bytes_.data(), bytes_.size()}; }

  private:
    std::uint32_t columns_;
    std::string bytes_;
};

// The batch -----------------------------------------------------------------------------------------------

/// The agents of a batch, each once, and which of them each row belongs to.
class Places {
  public:
    explicit Places(const Batch& batch) {
        for (const EndCommand& ending : batch.endings)
            of_endings_.push_back(place_of(ending.agent.str()));
        for (const ReserveRequest& request : batch.requests)
            of_requests_.push_back(place_of(request.command.agent.str()));
    }
    [[nodiscard]] const std::vector<std::string>& agents() const { return agents_; }
    [[nodiscard]] std::int32_t of_ending(std::size_t i) const { return of_endings_[i]; }
    [[nodiscard]] std::int32_t of_request(std::size_t i) const { return of_requests_[i]; }

  private:
    std::int32_t place_of(const std::string& agent) {
        const auto [found, is_new] = known_.try_emplace(agent, static_cast<std::int32_t>(agents_.size() + 1));
        if (is_new) agents_.push_back(agent);
        return found->second;
    }
    std::vector<std::string> agents_;
    std::unordered_map<std::string, std::int32_t> known_;
    std::vector<std::int32_t> of_endings_;
    std::vector<std::int32_t> of_requests_;
};

// For each request, the place of the first that carries the same token; 0 when no other does.
std::vector<std::int32_t> token_groups(const std::vector<ReserveRequest>& requests) {
    std::unordered_map<std::string, std::size_t> first;
    std::vector<std::int32_t> groups(requests.size(), 0);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const ReserveCommand& command = requests[i].command;
        const auto [found, is_new] =
            first.try_emplace(fmt::format("{} {} {} {}", command.agent.str(), command.caid.str(),
                                          command.token_exp, command.jti),
                              i);
        if (is_new) continue;
        groups[found->second] = groups[i] = static_cast<std::int32_t>(found->second + 1);
    }
    return groups;
}

// As nomiqon.end_command has its members.
pqxx::binarystring rows_of_endings(const Batch& batch, const Places& places, const WorkTypes& types) {
    Rows rows{types.ending, 9, batch.endings.size(), 320};
    for (std::size_t i = 0; i < batch.endings.size(); ++i) {
        const EndCommand& ending = batch.endings[i];
        Columns columns{192 + ending.basis.size()};
        columns.add_integer(places.of_ending(i));
        columns.add(ending.transaction.str());
        ending.day == unknown_day ? columns.add_null(ColumnType::date) : columns.add(ending.day);
        columns.add(std::string{ending.ending == Ending::settled ? "settled" : "released"});
        columns.add(ending.amount.nanos());
        columns.add(ending.unknown);
        columns.add_or_null(ending.reason);
        columns.add_or_null(ending.model);
        columns.add_or_null(ending.basis);
        rows.add(std::move(columns).take());
    }
    return rows.take();
}

// As nomiqon.reserve_command has its members: the first three here, the others by `encode`.
pqxx::binarystring rows_of_requests(const Batch& batch, const Places& places, const WorkTypes& types,
                                    Steady::time_point now) {
    const std::vector<std::int32_t> groups = token_groups(batch.requests);
    Rows rows{types.request, 22, batch.requests.size(), 1024};
    for (std::size_t i = 0; i < batch.requests.size(); ++i) {
        const ReserveRequest& request = batch.requests[i];
        const auto wait = std::chrono::ceil<Duration>(request.command.wait_until - now).count();
        Columns first{36};
        first.add_integer(places.of_request(i));
        groups[i] == 0 ? first.add_null(ColumnType::integer) : first.add_integer(groups[i]);
        first.add_integer(static_cast<std::int32_t>(
            std::clamp<Duration::rep>(wait, 0, std::numeric_limits<std::int32_t>::max())));
        rows.add(std::move(first).take(),
                 request.encoded.empty() ? encode(request.command) : request.encoded);
    }
    return rows.take();
}

std::string rows_of_agents(const std::vector<std::string>& agents) {
    std::string text{"{"};
    for (const std::string& agent : agents) {  // ids need no quotes
        if (text.size() > 1) text += ',';
        text += agent;
    }
    return text + '}';
}

// The answer ------------------------------------------------------------------------------------------------

// The places of what nomiqon.work answers with.
enum Answered : pqxx::row_size_type {
    a_ord,
    a_outcome,
    a_code,
    a_cap,
    a_limit,
    a_spent,
    a_reserved,
    a_resets_at,
    a_day,
    a_amount,
    a_version,
    a_document
};

std::optional<Time> time_of(const pqxx::field& field) {
    if (field.is_null()) return std::nullopt;
    // PostgreSQL writes "2026-05-24 00:00:00+00".
    std::string text{field.c_str()};
    if (text.size() > 10) text[10] = 'T';
    if (text.ends_with("+00")) text.replace(text.size() - 3, 3, "Z");
    return parse_time(text);
}

CapState cap_of(const pqxx::row& row) {
    return {.cap = row[a_cap].as<std::string>(),
            .limit = Usdc::from_nanos(row[a_limit].as<std::int64_t>()),
            .spent = Usdc::from_nanos(row[a_spent].as<std::int64_t>()),
            .reserved = Usdc::from_nanos(row[a_reserved].as<std::int64_t>()),
            .resets_at = time_of(row[a_resets_at])};
}

EndOutcome outcome_of(const pqxx::row& row) {
    const std::string_view outcome = row[a_outcome].c_str();
    if (outcome == "ended") return EndOutcome::ended;
    if (outcome == "already_ended") return EndOutcome::already_ended;
    if (outcome == "corrected") return EndOutcome::corrected;
    if (outcome == "not_found") return EndOutcome::not_found;
    throw std::runtime_error{"the ledger answered an unknown outcome of an ending"};
}

ReserveAnswer answer_of(const pqxx::row& row, const ReserveCommand& command) {
    const std::string_view outcome = row[a_outcome].c_str();
    if (outcome == "reserved") {
        const auto day = parse_day(row[a_day].c_str());
        if (!day) throw std::runtime_error{"the ledger reserved for no day"};
        return Reserved{command.transaction, command.agent, *day,
                        Usdc::from_nanos(row[a_amount].as<std::int64_t>())};
    }
    if (outcome == "stale") {
        return StalePolicy{
            {command.agent, row[a_version].as<std::int32_t>(), row[a_document].as<std::string>()}};
    }
    const auto code = refusal_from_name(row[a_code].c_str());
    if (outcome != "refused" || !code) throw std::runtime_error{"the ledger answered an unknown outcome"};
    return ReserveRefused{*code, row[a_cap].is_null() ? std::nullopt : std::optional{cap_of(row)}};
}

}  // namespace

std::string encode(const ReserveCommand& command) {
    Columns columns{1024};
    columns.add(command.transaction.str());
    columns.add(command.request.str());
    columns.add(command.caid.str());
    columns.add_integer(command.policy_version);
    command.decision ? columns.add(std::string{info(*command.decision).name})
                     : columns.add_null(ColumnType::text);
    columns.add(command.amount.nanos());
    columns.add(command.typical);
    columns.add(command.overrun_limit.nanos());
    columns.add(command.token);
    columns.add(command.jti);
    columns.add(command.token_exp);
    columns.add(command.session);
    columns.add(command.token_max);
    columns.add_or_null(command.ref);
    columns.add(command.scheme);
    columns.add(command.host);
    columns.add_integer(command.port);
    columns.add(command.method);
    columns.add_or_null(command.model);
    return std::move(columns).take();
}

WorkTypes read_work_types(pqxx::transaction_base& transaction) {
    const auto row = transaction.exec1(
        "select 'nomiqon.end_command'::regtype::oid::bigint, "
        "'nomiqon.reserve_command'::regtype::oid::bigint");
    return {.ending = row[0].as<std::uint32_t>(), .request = row[1].as<std::uint32_t>()};
}

pqxx::result send_work(pqxx::transaction_base& transaction, const WorkTypes& types,
                       const std::string& gateway, const Batch& batch, Steady::time_point now) {
    const Places places{batch};
    return transaction.exec_prepared("work", gateway, rows_of_agents(places.agents()),
                                     rows_of_endings(batch, places, types),
                                     rows_of_requests(batch, places, types, now));
}

BatchAnswer read_answer(const pqxx::result& rows, const Batch& batch) {
    if (rows.size() != batch.size())
        throw std::runtime_error{"the ledger answered another number of rows than it was asked"};
    BatchAnswer answer;
    answer.endings.reserve(batch.endings.size());
    pqxx::result::size_type at = 0;
    for (std::size_t i = 0; i < batch.endings.size(); ++i)
        answer.endings.push_back(outcome_of(rows[at++]));
    // The requests' come in another order: first all that were reserved.
    std::vector<std::optional<ReserveAnswer>> answers(batch.requests.size());
    for (; at < rows.size(); ++at) {
        const auto place = static_cast<std::size_t>(rows[at][a_ord].as<std::int32_t>()) - 1;
        if (place >= answers.size() || answers[place])
            throw std::runtime_error{"the ledger answered something that it was not asked"};
        answers[place] = answer_of(rows[at], batch.requests[place].command);
    }
    answer.requests.reserve(answers.size());
    for (std::optional<ReserveAnswer>& each : answers)
        answer.requests.push_back(std::move(*each));  // as many rows as places, and none twice
    return answer;
}

nlohmann::json to_json(const RefusalRecord& record) {
    const auto text_or_null = [](const std::string& text) {
        return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
    };
    return {{"transaction", record.transaction.str()},
            {"agent", record.agent.str()},
            {"caid", record.caid.str()},
            {"code", info(record.code).name},
            {"amount", record.amount.nanos()},
            {"policy_version", record.policy_version},
            {"jti", record.jti},
            {"ref", text_or_null(record.ref)},
            {"host", record.host},
            {"method", record.method},
            {"model", text_or_null(record.model)},
            {"at", format_time(record.at)}};
}

std::string to_parameter(const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace nomiqon::ledger
