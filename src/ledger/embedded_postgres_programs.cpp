#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "embedded_postgres_files.h"

namespace nomiqon::embedded {

namespace fs = std::filesystem;

namespace {

constexpr int oldest_major = 13;

bool has_programs(const fs::path& bin) {
    return ::access((bin / "postgres").c_str(), X_OK) == 0 && ::access((bin / "initdb").c_str(), X_OK) == 0;
}

std::vector<fs::path> candidates() {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
        found.push_back(entry.path() / "bin");
    }
    const char* path = std::getenv("PATH");
    std::string_view rest = path == nullptr ? "" : path;
    while (!rest.empty()) {
        const std::size_t end = rest.find(':');
        // An empty or relative entry means the current directory, which is no place for a server's programs.
        if (rest.starts_with('/')) found.emplace_back(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    return found;
}

/// `postgres (PostgreSQL) 15.6 (Debian …)`, or `17beta1`.
std::expected<int, std::string> version_of(const fs::path& bin) {
    const FileDescriptor output{::memfd_create("version", MFD_CLOEXEC)};
    if (!output) return std::unexpected(because(errno));
    const Command command{
        .program = bin / "postgres", .arguments = {"-V"}, .output = output.get(), .user = {}};
    auto child = Child::spawn(command);
    if (!child) return std::unexpected(child.error());
    if (child->wait(after(Duration{10'000})) != Wait::exited) {
        child->signal(SIGKILL);
        child->wait(after(Duration{5'000}));
    }
    char text[256];
    const ssize_t size = ::pread(output.get(), text, sizeof text, 0);
    const std::string_view answer{text, size > 0 ? static_cast<std::size_t>(size) : 0};
    constexpr std::string_view before = "(PostgreSQL) ";
    const std::size_t at = answer.find(before);
    int major = 0;
    if (at != std::string_view::npos) {
        const char* first = answer.data() + at + before.size();
        std::from_chars(first, answer.data() + answer.size(), major);
    }
    if (major == 0) return std::unexpected("its version can't be told");
    return major;
}

}  // namespace

std::expected<Programs, std::string> find_programs(int wanted_major) {
    const char* chosen = std::getenv("NOMIQON_POSTGRES_BIN");
    const bool is_chosen = chosen != nullptr && *chosen != '\0';
    if (is_chosen && !has_programs(chosen)) {
        return std::unexpected(
            fmt::format("NOMIQON_POSTGRES_BIN: {} does not hold the programs postgres and initdb", chosen));
    }
    std::optional<Programs> best;
    std::string others;
    for (const fs::path& bin : is_chosen ? std::vector<fs::path>{chosen} : candidates()) {
        if (!has_programs(bin)) continue;
        const auto major = version_of(bin);
        if (!major && is_chosen) {
            return std::unexpected(fmt::format("NOMIQON_POSTGRES_BIN: {}: {}", bin.string(), major.error()));
        }
        if (!major) continue;
        const bool fits = wanted_major == 0 ? *major >= oldest_major : *major == wanted_major;
        if (fits && (!best || *major > best->major)) best = Programs{.bin = bin, .major = *major};
        if (!fits) others += fmt::format("{}{} in {}", others.empty() ? "" : ", ", *major, bin.string());
    }
    if (best) return *best;
    if (wanted_major != 0) {
        return std::unexpected(
            fmt::format("the database was made by PostgreSQL {0}, which is not installed{1}: install "
                        "PostgreSQL {0} (Debian: "
                        "postgresql-{0}), or bring the data over with pg_upgrade or pg_dump",
                        wanted_major, others.empty() ? "" : " (found: " + others + ")"));
    }
    return std::unexpected(fmt::format(
        "no PostgreSQL {} or newer was found{}: install the package `postgresql`, name its directory in "
        "NOMIQON_POSTGRES_BIN, or give the URL of a server in NOMIQON_DATABASE_URL",
        oldest_major, others.empty() ? "" : " (found: " + others + ")"));
}

}  // namespace nomiqon::embedded
