#include <fstream>
#include <system_error>

#include "commands.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/suggestion.h"
#include "nomiqon/core/time.h"
#include "nomiqon/tls/ca_store.h"
#include "private_file.h"

namespace nomiqon::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view reload_note = "tell a running gateway by SIGHUP; it needs no restart";

std::unexpected<Failure> failure(const tls::CaProblem& problem) {
    return failed(problem.message, problem.hint);
}

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

Outcome<tls::CaStore> find_store(const std::string& data_dir) {
    const auto directory = find_data_dir(data_dir);
    if (!directory) return std::unexpected(directory.error());
    return Outcome<tls::CaStore>{std::in_place, *directory, system_clock()};
}

std::string joined_names(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

Json as_json(const tls::CertificateInfo& certificate) {
    return {{"subject", certificate.subject},
            {"issuer", certificate.issuer},
            {"sha256", certificate.fingerprint},
            {"notBefore", format_time(certificate.not_before)},
            {"notAfter", format_time(certificate.not_after)},
            {"nameConstraints", certificate.name_constraints}};
}

Json as_json(const std::vector<tls::CertificateInfo>& chain) {
    Json list = Json::array();
    for (const auto& certificate : chain)
        list.push_back(as_json(certificate));
    return list;
}

Fields fields_of(std::string_view what, const tls::CertificateInfo& certificate) {
    return {
        {std::string(what), certificate.subject},
        {"issuer", certificate.issuer == certificate.subject ? "" : certificate.issuer},
        {"sha256", certificate.fingerprint},
        {"valid", short_time(format_time(certificate.not_before)) + " to " +
                      short_time(format_time(certificate.not_after))},
        {"names", certificate.name_constraints.empty() ? "any" : joined_names(certificate.name_constraints)}};
}

void show_certificate(Context& context, std::string_view what, const tls::CertificateInfo& certificate) {
    if (context.out.json()) {
        context.out.data(as_json(certificate));
    } else {
        context.out.fields(fields_of(what, certificate));
    }
}

Outcome<std::optional<std::vector<std::string>>> checked_constraints(const std::vector<std::string>& names) {
    if (names.empty()) return std::nullopt;
    std::vector<std::string> suffixes;
    if (names == std::vector<std::string>{"none"}) return suffixes;
    for (const auto& name : names) {
        const auto host = HostName::parse(name);
        if (!host || host->is_ip_literal() || name.starts_with('.')) {
            return usage_error("--name-constraint " + in_backticks(name) + " is no DNS suffix",
                               "such as openai.com, which stands for itself and all names below it");
        }
        suffixes.push_back(host->str());
    }
    return suffixes;
}

/// Whoever connects through the gateway reads it: agents run as other users.
Outcome<void> write_public_file(const fs::path& path, const std::string& content) {
    if (auto written = write_private_file(path, content); !written) return written;
    std::error_code error;
    fs::permissions(path, fs::perms{0644}, error);
    if (error) return failed("can't make " + path.string() + " readable: " + error.message());
    return {};
}

}  // namespace

Outcome<void> show_ca(Context& context, const ShowCa& options) {
    const auto store = find_store(options.data_dir);
    if (!store) return std::unexpected(store.error());
    const auto state = store->state();
    if (!state) return failure(state.error());
    const std::string file = store->certificate_file().string();
    if (context.out.json()) {
        context.out.data(
            {{"file", file}, {"active", as_json(state->active)}, {"next", as_json(state->next)}});
        return {};
    }
    auto fields = fields_of("CA", state->active.front());
    fields.emplace_back("root", state->active.size() > 1 ? state->active.back().subject : "");
    fields.emplace_back("file", file);
    context.out.fields(fields);
    if (!state->next.empty()) {
        context.out.line("");
        context.out.fields(fields_of("next CA", state->next.front()));
    }
    if (system_clock().now() >= state->active.front().not_after)
        context.out.note("this CA has ended; make another one with nomiqon ca rotate");
    return {};
}

Outcome<void> export_ca(Context& context, const ExportCa& options) {
    const auto store = find_store(options.data_dir);
    if (!store) return std::unexpected(store.error());
    std::string text;
    if (options.with_system_roots) {
        const auto roots = tls::system_roots_pem();
        if (!roots) return failure(roots.error());
        text = *roots;
    }
    const auto bundle = store->bundle();
    if (!bundle) return failure(bundle.error());
    text += *bundle;
    if (options.output.empty()) {
        context.out.raw(text);
        return {};
    }
    const fs::path path = fs::absolute(options.output);
    if (auto written = write_public_file(path, text); !written) return written;
    context.out.note("wrote " + path.string());
    return {};
}

Outcome<void> rotate_ca(Context& context, const RotateCa& options) {
    const auto constraints = checked_constraints(options.name_constraints);
    if (!constraints) return std::unexpected(constraints.error());
    const auto store = find_store(options.data_dir);
    if (!store) return std::unexpected(store.error());
    if (options.cancel) {
        if (const auto done = store->cancel_rotation(); !done) return failure(done.error());
        context.out.note("the next CA is forgotten");
        return {};
    }
    const auto certificate = options.activate ? store->activate() : store->rotate(*constraints);
    if (!certificate) return failure(certificate.error());
    show_certificate(context, options.activate ? "CA" : "next CA", *certificate);
    context.out.note(options.activate
                         ? std::string(reload_note)
                         : "give " + store->certificate_file().string() +
                               ", which now holds both, to the clients; then nomiqon ca rotate --activate");
    return {};
}

Outcome<void> import_ca(Context& context, const ImportCa& options) {
    const auto store = find_store(options.data_dir);
    if (!store) return std::unexpected(store.error());
    const auto certificate = store->import(options.certificate, options.key, !options.next);
    if (!certificate) return failure(certificate.error());
    show_certificate(context, options.next ? "next CA" : "CA", *certificate);
    context.out.note(options.next ? "nomiqon ca rotate --activate lets it sign" : std::string(reload_note));
    return {};
}

}  // namespace nomiqon::cli
