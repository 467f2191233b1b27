#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdio>
#include <memory>

#include "agent_lookup.h"
#include "commands.h"
#include "ledger_audit.h"
#include "nomiqon/audit/evidence.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

/// Where the evidence goes. A file is 0600 from its first byte: the signed tokens are in it, and are good
/// until they expire.
class Sink {
  public:
    static Outcome<Sink> open(const std::string& path) {
        Sink sink;
        if (path.empty()) return sink;
        constexpr mode_t private_mode = 0600;
        const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, private_mode);
        if (descriptor < 0) return failed("can't write the file " + in_backticks(path));
        ::fchmod(descriptor, private_mode);
        sink.file_.reset(::fdopen(descriptor, "w"));
        return sink;
    }
    void line(const Json& document) {
        const auto text = document.dump() + '\n';
        std::fwrite(text.data(), 1, text.size(), file_ ? file_.get() : stdout);
    }
    [[nodiscard]] bool finish() {
        if (!file_) return true;  // the command's own end looks at standard output
        return std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0;
    }

  private:
    std::unique_ptr<std::FILE, Close> file_;
};

Json header_of(const Json& agent, const std::string& day, Json opening) {
    opening.erase("agent");
    opening.erase("until");
    Json caids = Json::array();
    for (const auto& caid : at(agent, {"caids"}))
        caids.push_back(text_at(caid, {"caid"}));
    return {{"format", audit::evidence_format}, {"version", audit::evidence_version},
            {"agent", text_at(agent, {"id"})},  {"day", day},
            {"caids", std::move(caids)},        {"opening", std::move(opening)}};
}

}  // namespace

Outcome<void> export_ledger(Context& context, const ExportLedger& options) {
    if (!parse_day(options.day))
        return usage_error("--day must be a day such as 2026-05-24, not " + in_backticks(options.day));
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    const auto id = text_at(*agent, {"id"});
    auto begin = get_opening(**api, id, options.day, options.day);
    if (!begin) return std::unexpected(begin.error());

    auto sink = Sink::open(options.output);
    if (!sink) return std::unexpected(sink.error());
    sink->line(header_of(*agent, options.day, std::move(begin->document)));
    audit::Head head = begin->opening.head;
    const auto first = head.seq;
    while (head.seq < begin->until) {
        const auto lines = get_lines(**api, id, head.seq, begin->until);
        if (!lines) return std::unexpected(lines.error());
        for (const auto& row : *lines) {
            sink->line({{"line", at(row, {"line"})}, {"hash", at(row, {"hash"})}});
            const auto hash = audit::hash_from_hex(text_at(row, {"hash"}));
            const Json& seq = at(row, {"seq"});
            if (!hash || !seq.is_number_integer()) return failed("the gateway's lines can't be read");
            head = {.seq = seq.get<std::int64_t>(), .hash = *hash};
        }
        if (lines->empty())
            return failed("line " + std::to_string(head.seq + 1) + " is missing in the ledger",
                          "nomiqon ledger verify --agent " + id + " tells more");
    }
    sink->line({{"end", {{"seq", head.seq}, {"hash", audit::to_hex(head.hash)}}}});
    if (!sink->finish()) return failed("can't write the whole of " + in_backticks(options.output));
    if (options.output.empty()) return {};
    if (context.out.json()) {
        context.out.data({{"agent", id},
                          {"day", options.day},
                          {"lines", head.seq - first},
                          {"output", options.output},
                          {"end", {{"seq", head.seq}, {"hash", audit::to_hex(head.hash)}}}});
    } else {
        context.out.line(std::to_string(head.seq - first) + " lines of " + id + " up to line " +
                         std::to_string(head.seq) + ", hash " + audit::to_hex(head.hash) + ", in " +
                         options.output);
    }
    return {};
}

}  // namespace nomiqon::cli
