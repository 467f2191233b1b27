#include "random_steps.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace nomiqon::simulation {
namespace {

using ledger::EndCommand;
using ledger::ReserveCommand;
using std::chrono::seconds;

constexpr std::size_t most_agents = 12;
constexpr std::size_t gateway_count = 3;
constexpr std::size_t open_sessions = 8;
constexpr seconds lease{60};
constexpr std::int64_t cent = 10'000'000;

// What JSON and PostgreSQL write in several ways.
constexpr std::array<std::string_view, 8> texts{"",
                                                "gpt-5",
                                                "a \"quoted\" name",
                                                "back\\slash",
                                                "tab\tnewline\nbell\x07",
                                                "\x7f",
                                                "caf\xc3\xa9 \xe2\x82\xac",
                                                "\xf0\x9f\x92\xb8/path"};

void say(nlohmann::json& document, std::string_view member, const Cap& cap) {
    if (cap) document[std::string{member}] = Usdc::from_nanos(*cap).to_string();
}

// As a batch has to be: sorted by agent, in the order of arrival within one.
template <class Command>
void by_agent(std::vector<Command>& commands) {
    std::map<std::string, std::vector<Command>> lines;
    for (Command& command : commands)
        lines[command.agent.str()].push_back(std::move(command));
    commands.clear();
    for (auto& [agent, line] : lines)
        std::ranges::move(line, std::back_inserter(commands));
}

}  // namespace

std::string document_of(const Policy& policy) {
    nlohmann::json document{{"frozen", policy.frozen}};
    say(document, "dailyCap", policy.daily_cap);
    say(document, "totalCap", policy.total_cap);
    say(document, "maxPerRequest", policy.max_per_request);
    return document.dump();
}

RandomSteps::RandomSteps(std::uint64_t seed, Time start) : random_(seed), now_(start) {
    for (std::size_t i = 0; i < gateway_count; ++i)
        gateways_.push_back({random_.id<GatewayId>().str(), Time{}});
}

Step RandomSteps::next(const ModelLedger& model) {
    // A gateway renews long before its lease is over, but for one that now and then is cut off and lapses.
    for (std::size_t i = 0; i < gateways_.size(); ++i) {
        Gateway& gateway = gateways_[i];
        if (gateway.lease_until > now_ + lease / 4 || (lapsed_ && i == 0)) continue;
        gateway.lease_until = now_ + lease;
        return RenewLease{gateway.id, lease};
    }
    if (agents_.size() < most_agents) return more_agents();
    ++steps_;
    if (lapsed_ && gateways_[0].lease_until <= now_) {
        lapsed_ = false;
        remember_late(model, gateways_[0].id);
        gateways_[0] = {random_.id<GatewayId>().str(), Time{}};
        return Expire{};
    }
    switch (random_.below(40)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return time_passes();
        case 4:
        case 5:
        case 6:
            return administration(model);
        case 7:
            lapsed_ = lapsed_ || random_.one_in(2);
            return Expire{};
        case 8:
            return random_.one_in(4) ? Step{ForgetTokens{}} : administration(model);
        default:
            return work(model);
    }
}

// What a gateway has open when it is taken for gone: the true costs of some come later.
void RandomSteps::remember_late(const ModelLedger& model, const std::string& gateway) {
    for (const auto& [agent, account] : model.accounts()) {
        for (const std::string& transaction : account.open) {
            if (account.reservations.at(transaction).gateway == gateway)
                late_.emplace_back(agent, transaction);
        }
    }
}

Step RandomSteps::more_agents() {
    agents_.push_back(random_.id<AgentId>().str());
    return CreateAgent{agents_.back(), caid(), policy()};
}

std::string RandomSteps::caid() {
    PublicKey key{};
    for (auto& byte : key)
        byte = static_cast<std::uint8_t>(random_.below(256));
    return Caid{key}.str();
}

Step RandomSteps::time_passes() {
    using namespace std::chrono;
    const Time midnight = Time{day_of(now_) + days{1}};
    switch (random_.below(20)) {
        case 0:
            now_ = std::max(now_, midnight - microseconds{1});
            break;  // the day's last moment, …
        case 1:
            now_ = midnight;
            break;  // … and the next one's first
        case 2:
            now_ += minutes{random_.between(1, 90)};
            break;
        case 3:
            now_ = Time{ceil<seconds>(now_)};
            break;
        default:
            now_ += microseconds{random_.between(0, 4'000'000)};
    }
    return Advance{now_};
}

Step RandomSteps::administration(const ModelLedger& model) {
    const std::string agent = any_agent();
    switch (random_.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3: {
            std::string& last = references_[agent];
            if (last.empty() || !random_.one_in(6))
                last = "invoice " + std::to_string(steps_) + std::string{texts[random_.below(texts.size())]};
            return Fund{agent, random_.one_in(20) ? std::int64_t{1} << 62 : random_.between(1, 300 * cent),
                        last};
        }
        case 4:
        case 5: {
            const std::int64_t change = random_.one_in(3) ? amount() / 2 + 1 : -amount() / 2 - 1;
            return Adjust{agent, change, "because " + text() + "."};
        }
        case 6:
        case 7:
        case 8:
        case 9:
            return SetPolicy{agent, policy()};
        case 10: {
            Policy same = model.accounts().at(agent).agent.policy;
            same.frozen = random_.one_in(2) != same.frozen;
            same.document = document_of(same);
            return SetPolicy{agent, same};
        }
        case 11:
            return SetPaused{agent, random_.one_in(2)};
        case 12:
            return AddCaid{agent, caid()};
        case 13: {
            std::vector<std::string> caids;
            for (const auto& [name, active] : model.accounts().at(agent).agent.caids)
                caids.push_back(name);
            return RevokeCaid{agent, random_.one_in(10) ? caid() : random_.pick(caids)};
        }
        case 14:
            // Not too often: a terminated agent is dull. Another takes its place, and its holds end later.
            if (!random_.one_in(3)) return SetPaused{agent, false};
            if (random_.one_in(4)) std::erase(agents_, agent);
            return Terminate{agent};
        default: {
            Policy open = model.accounts().at(agent).agent.policy;
            open.frozen = false;
            open.document = document_of(open);
            return SetPolicy{agent, open};
        }
    }
}

Policy RandomSteps::policy() {
    const auto cap = [this](std::uint64_t chance, std::int64_t most) {
        return random_.percent(chance) ? Cap{random_.between(0, most)} : Cap{};
    };
    Policy policy{.daily_cap = cap(70, 200 * cent),
                  .total_cap = cap(30, 900 * cent),
                  .max_per_request = cap(30, 30 * cent),
                  .frozen = random_.one_in(12),
                  .document = {}};
    policy.document = document_of(policy);
    return policy;
}

std::int64_t RandomSteps::amount() {
    switch (random_.below(12)) {
        case 0:
            return 0;
        case 1:
            return random_.between(1, 3);
        case 2:
            return random_.between(0, 100 * cent);
        case 3:
            return random_.one_in(10) ? std::numeric_limits<std::int64_t>::max() : 10 * cent;
        default:
            return random_.between(0, 10 * cent);
    }
}

std::string RandomSteps::text() {
    return std::string{texts[random_.below(texts.size())]};
}

Work RandomSteps::work(const ModelLedger& model) {
    Work work{.gateway = random_.pick(gateways_).id, .endings = {}, .requests = {}};
    if (lapsed_ && work.gateway == gateways_[0].id && gateways_[0].lease_until <= now_ && !random_.one_in(5))
        work.gateway = gateways_[1].id;
    const std::uint64_t size = random_.one_in(8) ? 1 : 64;
    std::set<std::string> ended;
    for (std::uint64_t i = random_.below(size / 2 + 1); i > 0; --i) {
        auto one = ending(model);
        if (one && ended.insert(one->transaction.str()).second) work.endings.push_back(*std::move(one));
    }
    for (std::uint64_t i = random_.below(size) + 1; i > 0; --i)
        work.requests.push_back(request(model));
    by_agent(work.endings);
    by_agent(work.requests);
    return work;
}

RandomSteps::Token RandomSteps::token(const ModelLedger& model, const std::string& agent) {
    // Often one that was presented before: a replay, a session's next request, a retry after a 429.
    if (!tokens_.empty() && random_.percent(35)) {
        Token again = tokens_[tokens_.size() - 1 - random_.below(std::min<std::size_t>(tokens_.size(), 60))];
        if (random_.one_in(60)) again.session = !again.session;
        if (random_.one_in(60)) again.max = amount();
        return again;
    }
    if (!sessions_.empty() && random_.percent(25)) return random_.pick(sessions_);
    const auto account = model.accounts().find(agent);
    std::string key = caid();
    if (account != model.accounts().end() && !random_.one_in(50)) {
        const auto& caids = account->second.agent.caids;
        key = std::next(caids.begin(), static_cast<std::ptrdiff_t>(random_.below(caids.size())))->first;
    }
    const bool session = random_.percent(30);
    std::int64_t life = random_.between(1, session ? 86'400 : 300);
    if (random_.one_in(50))
        life = random_.one_in(2) ? random_.between(-5, 0) : random_.between(172'799, 172'802);
    Token fresh{
        .agent = agent,
        .caid = std::move(key),
        .jti = "jti-" + random_.id<RequestId>().str(),
        .exp = unix_seconds(now_) + life,
        .session = session,
        .max = session || random_.one_in(4) ? std::optional{random_.between(1, 60 * cent)} : std::nullopt};
    tokens_.push_back(fresh);
    if (session && sessions_.size() < open_sessions) sessions_.push_back(fresh);
    if (session && random_.one_in(4)) sessions_[random_.below(sessions_.size())] = fresh;
    return fresh;
}

ReserveCommand RandomSteps::request(const ModelLedger& model) {
    std::string agent = random_.one_in(80) ? random_.id<AgentId>().str() : any_agent();
    if (!random_.one_in(3)) agent = agents_[random_.below(3)];
    const Token carried = token(model, agent);
    agent = carried.agent;
    const auto account = model.accounts().find(agent);
    const std::int32_t version = account == model.accounts().end() ? 1 : account->second.agent.policy_version;
    const TransactionId transaction = random_.id<TransactionId>();
    granted_[agent].push_back(transaction.str());
    const std::int64_t bound = amount();
    const bool typical = random_.percent(30);
    return {
        .transaction = transaction,
        .request = random_.id<RequestId>(),
        .agent = *AgentId::parse(agent),
        .caid = *Caid::parse(carried.caid),
        .policy_version = random_.one_in(25) ? version - 1 : version,
        .decision = random_.one_in(25) ? std::optional{RefusalCode::policy_domain_blocked} : std::nullopt,
        .amount = Usdc::from_nanos(bound),
        .typical = typical ? std::optional{Usdc::from_nanos(bound / random_.between(1, 9))} : std::nullopt,
        .overrun_limit = Usdc::from_nanos(typical ? random_.between(0, 20 * cent) : 0),
        .wait_until = {},
        .token = "signed." + carried.jti,
        .jti = carried.jti,
        .token_exp = carried.exp,
        .session = carried.session,
        .token_max = carried.max ? std::optional{Usdc::from_nanos(*carried.max)} : std::nullopt,
        .ref = random_.one_in(3) ? text() : "run-42",
        .scheme = random_.one_in(9) ? "http" : "https",
        .host = random_.one_in(2) ? "api.example.com" : "other.example.net",
        .port = static_cast<std::uint16_t>(random_.one_in(9) ? 8443 : 443),
        .method = random_.one_in(2) ? "POST" : "CONNECT",
        .model = text()};
}

// Of an open reservation, of one that has ended or expired, of one that was refused, of one that never was.
std::pair<std::string, std::string> RandomSteps::to_end(const ModelLedger& model) {
    if (!late_.empty() && random_.one_in(8)) return random_.pick(late_);
    const auto& [agent, granted] =
        *std::next(granted_.begin(), static_cast<std::ptrdiff_t>(random_.below(granted_.size())));
    if (random_.one_in(60)) return {agent, random_.id<TransactionId>().str()};
    const auto account = model.accounts().find(agent);
    if (account == model.accounts().end() || account->second.open.empty() || random_.percent(20))
        return {agent, random_.pick(granted)};
    const auto& open = account->second.open;
    const auto place = random_.below(std::min<std::size_t>(open.size(), 40));
    return {agent, *std::next(open.begin(), static_cast<std::ptrdiff_t>(place))};
}

std::optional<EndCommand> RandomSteps::ending(const ModelLedger& model) {
    if (granted_.empty()) return std::nullopt;
    const auto [agent, transaction] = to_end(model);
    Day day = day_of(now_);
    std::int64_t held = 0;
    if (const auto account = model.accounts().find(agent); account != model.accounts().end()) {
        if (const auto row = account->second.reservations.find(transaction);
            row != account->second.reservations.end()) {
            day = row->second.day;
            held = row->second.amount;
        }
    }
    if (random_.one_in(6)) day = Day{};
    if (random_.one_in(40)) day -= std::chrono::days{1};
    const bool settled = !random_.one_in(4);
    std::int64_t cost = held;
    if (settled && !random_.one_in(3))
        cost = random_.one_in(8) ? held + random_.between(0, 5 * cent) : random_.between(0, held);
    return EndCommand{.transaction = *TransactionId::parse(transaction),
                      .agent = *AgentId::parse(agent),
                      .day = day,
                      .ending = settled ? ledger::Ending::settled : ledger::Ending::released,
                      .amount = Usdc::from_nanos(settled ? cost : 0),
                      .unknown = settled && random_.one_in(6),
                      .reason = settled ? (random_.one_in(20) ? text() : "") : "upstream_unreachable",
                      .model = text(),
                      .basis = text()};
}

}  // namespace nomiqon::simulation
