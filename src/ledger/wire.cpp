#include "wire.h"

#include <fmt/format.h>
#include <array>
#include <charconv>
#include <stdexcept>

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

/// The literal of a PostgreSQL array of rows: `{"(1,\"text\",)","(2,…)"}`. Rows are quoted as elements of the
/// array, and texts once more as fields of the row.
class Rows {
  public:
    Rows(std::size_t rows, std::size_t row_size) { text_.reserve(2 + rows * row_size); }

    void begin() {
        if (text_.size() > 1) text_ += ',';
        text_ += "\"(";
        is_first_ = true;
    }
    void end() { text_ += ")\""; }

    void add(const std::string& value) {
        separate();
        text_ += "\\\"";
        for (const char c : as_text(value)) {
            if (c == '"') {
                text_ += R"(\"\")";
            } else if (c == '\\') {
                text_ += R"(\\\\)";
            } else {
                text_ += c;
            }
        }
        text_ += "\\\"";
    }
    void add_or_null(const std::string& value) { value.empty() ? add_null() : add(value); }
    void add(std::int64_t value) {
        separate();
        std::array<char, 20> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        text_.append(digits.data(), end);
    }
    void add(const std::optional<Usdc>& amount) { amount ? add(amount->nanos()) : add_null(); }
    void add(bool value) {
        separate();
        text_ += value ? 't' : 'f';
    }
    void add_null() { separate(); }
    [[nodiscard]] std::string take() && { return std::move(text_) + '}'; }

  private:
    void separate() {
        if (!is_first_) text_ += ',';
        is_first_ = false;
    }
    std::string text_{"{"};
    bool is_first_ = true;
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
    [[nodiscard]] std::int64_t of_ending(std::size_t i) const { return of_endings_[i]; }
    [[nodiscard]] std::int64_t of_request(std::size_t i) const { return of_requests_[i]; }

  private:
    std::int64_t place_of(const std::string& agent) {
        const auto [found, is_new] = known_.try_emplace(agent, static_cast<std::int64_t>(agents_.size() + 1));
        if (is_new) agents_.push_back(agent);
        return found->second;
    }
    std::vector<std::string> agents_;
    std::unordered_map<std::string, std::int64_t> known_;
    std::vector<std::int64_t> of_endings_;
    std::vector<std::int64_t> of_requests_;
};

// For each request, the place of the first that carries the same token; 0 when no other does.
std::vector<std::int64_t> token_groups(const std::vector<ReserveRequest>& requests) {
    std::unordered_map<std::string, std::size_t> first;
    std::vector<std::int64_t> groups(requests.size(), 0);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const ReserveCommand& command = requests[i].command;
        const auto [found, is_new] =
            first.try_emplace(fmt::format("{} {} {} {}", command.agent.str(), command.caid.str(),
                                          command.token_exp, command.jti),
                              i);
        if (is_new) continue;
        groups[found->second] = groups[i] = static_cast<std::int64_t>(found->second + 1);
    }
    return groups;
}

// As nomiqon.end_command has its members.
std::string rows_of_endings(const Batch& batch, const Places& places) {
    Rows rows{batch.endings.size(), 128};
    for (std::size_t i = 0; i < batch.endings.size(); ++i) {
        const EndCommand& ending = batch.endings[i];
        rows.begin();
        rows.add(places.of_ending(i));
        rows.add(ending.transaction.str());
        ending.day == unknown_day ? rows.add_null() : rows.add(format_day(ending.day));
        rows.add(std::string{ending.ending == Ending::settled ? "settled" : "released"});
        rows.add(ending.amount.nanos());
        rows.add(ending.unknown);
        rows.add_or_null(ending.reason);
        rows.add_or_null(ending.model);
        rows.end();
    }
    return std::move(rows).take();
}

// As nomiqon.reserve_command has its members.
std::string rows_of_requests(const Batch& batch, const Places& places, Steady::time_point now) {
    const std::vector<std::int64_t> groups = token_groups(batch.requests);
    Rows rows{batch.requests.size(), 1024};
    for (std::size_t i = 0; i < batch.requests.size(); ++i) {
        const ReserveCommand& command = batch.requests[i].command;
        const auto wait = std::chrono::ceil<Duration>(command.wait_until - now).count();
        rows.begin();
        rows.add(places.of_request(i));
        rows.add(command.transaction.str());
        rows.add(command.request.str());
        rows.add(command.caid.str());
        rows.add(std::int64_t{command.policy_version});
        command.decision ? rows.add(std::string{info(*command.decision).name}) : rows.add_null();
        rows.add(command.amount.nanos());
        rows.add(command.typical);
        rows.add(command.overrun_limit.nanos());
        rows.add(std::int64_t{std::clamp<Duration::rep>(wait, 0, std::numeric_limits<std::int32_t>::max())});
        rows.add(command.token);
        rows.add(command.jti);
        rows.add(command.token_exp);
        rows.add(command.session);
        rows.add(command.token_max);
        groups[i] == 0 ? rows.add_null() : rows.add(groups[i]);
        rows.add_or_null(command.ref);
        rows.add(command.scheme);
        rows.add(command.host);
        rows.add(std::int64_t{command.port});
        rows.add(command.method);
        rows.add_or_null(command.model);
        rows.end();
    }
    return std::move(rows).take();
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
    a_outcome = 1,
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

pqxx::result send_work(pqxx::transaction_base& transaction, const std::string& gateway, const Batch& batch,
                       Steady::time_point now) {
    const Places places{batch};
    return transaction.exec_prepared("work", gateway, rows_of_agents(places.agents()),
                                     rows_of_endings(batch, places), rows_of_requests(batch, places, now));
}

BatchAnswer read_answer(const pqxx::result& rows, const Batch& batch) {
    if (rows.size() != batch.size())
        throw std::runtime_error{"the ledger answered another number of rows than it was asked"};
    BatchAnswer answer;
    answer.endings.reserve(batch.endings.size());
    answer.requests.reserve(batch.requests.size());
    pqxx::result::size_type at = 0;
    for (std::size_t i = 0; i < batch.endings.size(); ++i)
        answer.endings.push_back(outcome_of(rows[at++]));
    for (const ReserveRequest& request : batch.requests)
        answer.requests.push_back(answer_of(rows[at++], request.command));
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
