#pragma once

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/audit/auditor.h"

// Evidence: one agent's lines of one day as a file that needs no gateway to be checked. JSON, a document a
// line:
//
//   {"format": "nomiqon-evidence", "version": 1, "agent": "ag_…", "day": "2026-05-24", "caids": ["caid_…"],
//    "opening": {"seq", "hash", "balance", "reserved", "spent", "exposed", "days", "open", "expired",
//    "tokens"}}
//   {"line": "[\"reserve\", 18, …]", "hash": "<64 hexadecimal digits>"}      for each line of the chain, in
//   order
//   {"end": {"seq": 42, "hash": "…"}}
//
// A file that was cut has no end, so that it can't pass for a whole one.
namespace nomiqon::audit {

inline constexpr std::string_view evidence_format = "nomiqon-evidence";
inline constexpr std::int64_t evidence_version = 1;

struct Evidence {
    std::string agent;
    Day day;
    Head opening, end;
    std::int64_t lines = 0;
};

/// What is wrong with a file: of its form, or, with a finding, of what it says.
struct EvidenceProblem {
    std::size_t file_line = 0;  ///< from 1
    std::string message;
    std::optional<Finding> finding{};
};

/// Reads to the end of the stream. Identities that the caller knows to be the agent's go before those that
/// the file names.
[[nodiscard]] std::expected<Evidence, EvidenceProblem> check_evidence(std::istream& file,
                                                                      Auditor::Options options = {});

}  // namespace nomiqon::audit
