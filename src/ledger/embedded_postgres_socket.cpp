#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "embedded_postgres_files.h"

namespace nomiqon::embedded {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view socket_name = "/.s.PGSQL.5432";
constexpr const char* link_name = "pg";

bool fits(const fs::path& directory) {
    const std::string text = directory.string();
    // libpq takes a comma for the end of one host in a list of hosts.
    return text.size() + socket_name.size() < sizeof(sockaddr_un{}.sun_path) &&
           text.find(',') == std::string::npos;
}

std::vector<fs::path> short_places() {
    std::vector<fs::path> places;
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && *runtime == '/') places.emplace_back(runtime);
    if (::geteuid() == 0) places.emplace_back("/run");
    places.emplace_back("/tmp");
    return places;
}

/// In /tmp anyone may have made a thing of our name before us.
bool is_ours(const fs::path& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() &&
           (info.st_mode & 077) == 0;
}

/// The name follows from the cluster's identity, so that gateways that were killed don't pile up directories.
std::optional<fs::path> make_short_directory(const fs::path& place, const struct stat& cluster) {
    const fs::path path = place / fmt::format("nomiqon-{:x}-{:x}", cluster.st_dev, cluster.st_ino);
    if (!fits(path / link_name)) return std::nullopt;
    if (::mkdir(path.c_str(), 0700) == 0 || (errno == EEXIST && is_ours(path))) return path;
    if (errno != EEXIST) return std::nullopt;
    std::string other = (place / "nomiqon-XXXXXX").string();
    if (::mkdtemp(other.data()) == nullptr) return std::nullopt;
    return fs::path{other};
}

}  // namespace

std::expected<SocketPath, std::string> SocketPath::make(const Layout& layout) {
    const fs::path cluster = fs::absolute(layout.cluster()).lexically_normal();
    if (fits(cluster)) return SocketPath{cluster};
    struct stat info{};
    if (::stat(cluster.c_str(), &info) != 0) return std::unexpected(cluster.string() + ": " + because(errno));
    std::error_code error;
    for (const fs::path& place : short_places()) {
        const auto made = make_short_directory(place, info);
        if (!made) continue;
        SocketPath socket{*made / link_name};
        socket.made_ = *made;
        fs::remove(socket.directory_, error);
        fs::create_directory_symlink(cluster, socket.directory_, error);
        if (!error) return socket;
    }
    return std::unexpected(
        fmt::format("{} is too long for a socket (107 bytes), and neither XDG_RUNTIME_DIR nor /tmp takes a "
                    "short link to it",
                    cluster.string()));
}

void SocketPath::remove() const {
    if (made_.empty()) return;
    std::error_code ignored;
    fs::remove(directory_, ignored);
    fs::remove(made_, ignored);
}

}  // namespace nomiqon::embedded
