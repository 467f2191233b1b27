#include "nomiqon/audit/evidence.h"

#include <istream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "nomiqon/core/strict_json.h"

namespace nomiqon::audit {
namespace {

using nlohmann::json;

std::optional<std::string> text_of(const json& object, const char* name) {
    if (!object.is_object()) return std::nullopt;
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

/// One pass over the file, a document a line.
class Reader {
  public:
    Reader(std::istream& file, Auditor::Options options) : file_(file), options_(std::move(options)) {}

    std::expected<Evidence, EvidenceProblem> read() {
        auto header = next();
        if (!header) return std::unexpected(header.error());
        if (auto problem = begin(*header)) return std::unexpected(*std::move(problem));
        while (true) {
            auto document = next();
            if (!document) return std::unexpected(document.error());
            if (document->contains("end")) return end(document->at("end"));
            if (auto problem = line(*document)) return std::unexpected(*std::move(problem));
        }
    }

  private:
    std::expected<json, EvidenceProblem> next() {
        std::string text;
        ++place_;
        if (!std::getline(file_, text)) return std::unexpected(problem("the file ends before its last line"));
        auto document = parse_strict_json(text);
        if (!document) return std::unexpected(problem("this is no JSON: " + document.error().message));
        if (!document->is_object()) return std::unexpected(problem("this is no JSON object"));
        return *std::move(document);
    }

    std::optional<EvidenceProblem> begin(const json& header) {
        if (text_of(header, "format") != evidence_format) return problem("this is no evidence file");
        if (header.value("version", json{}) != evidence_version)
            return problem("this evidence file is of another version than 1");
        const auto agent = text_of(header, "agent");
        const auto day = parse_day(text_of(header, "day").value_or(""));
        const auto caids = header.value("caids", json{});
        if (!agent || !day || !caids.is_array()) return problem("its agent, day or caids are missing");
        std::vector<std::string> named;
        for (const auto& caid : caids) {
            if (!caid.is_string()) return problem("one of its caids is no text");
            named.push_back(caid.get<std::string>());
        }
        if (!options_.caids) options_.caids = std::move(named);
        const auto opening = parse_opening(header.value("opening", json{}));
        if (!opening) return problem("its opening can't be read: " + opening.error());
        evidence_ = {.agent = *agent, .day = *day, .opening = opening->head, .end = {}};
        auditor_.emplace(*agent, options_, *opening);
        return std::nullopt;
    }

    std::optional<EvidenceProblem> line(const json& document) {
        const auto text = text_of(document, "line");
        const auto hash = hash_from_hex(text_of(document, "hash").value_or(""));
        if (!text || !hash) return problem("this is no line of a chain with its hash");
        ++evidence_.lines;
        if (auto finding = auditor_->add(*text, *hash)) return problem(*std::move(finding));
        return std::nullopt;
    }

    std::expected<Evidence, EvidenceProblem> end(const json& end) {
        if (auto finding = auditor_->finish()) return std::unexpected(problem(*std::move(finding)));
        evidence_.end = auditor_->head();
        const bool same = end.is_object() && end.value("seq", json{}) == evidence_.end.seq &&
                          text_of(end, "hash") == to_hex(evidence_.end.hash);
        if (!same) return std::unexpected(problem("its end is not its last line's number and hash"));
        std::string rest;
        ++place_;
        if (std::getline(file_, rest)) return std::unexpected(problem("something stands behind its end"));
        return std::move(evidence_);
    }

    [[nodiscard]] EvidenceProblem problem(std::string message) const {
        return {.file_line = place_, .message = std::move(message)};
    }
    [[nodiscard]] EvidenceProblem problem(Finding finding) const {
        auto message = finding.what;
        return {.file_line = place_, .message = std::move(message), .finding = std::move(finding)};
    }

    std::istream& file_;
    Auditor::Options options_;
    std::size_t place_ = 0;
    Evidence evidence_{};
    std::optional<Auditor> auditor_;
};

}  // namespace

std::expected<Evidence, EvidenceProblem> check_evidence(std::istream& file, Auditor::Options options) {
    return Reader{file, std::move(options)}.read();
}

}  // namespace nomiqon::audit
