#include "command_groups.h"

namespace nomiqon::cli {
namespace {

void add_data_dir(CLI::App& app, std::string& data_dir) {
    app.add_option("--data-dir", data_dir, "of the gateway (NOMIQON_DATA_DIR, or the gateway's default)");
}

}  // namespace

void add_ca_commands(CLI::App& app, Action& chosen) {
    CLI::App& group = add_group(app, "ca", "the gateway's certificate authority, in its data directory");

    CLI::App& show = *group.add_subcommand("show", "the CA that signs, and the next one");
    add_data_dir(show, command(show, chosen, show_ca).data_dir);

    CLI::App& exporting = *group.add_subcommand("export", "the certificates that clients must trust, in PEM");
    auto& what = command(exporting, chosen, export_ca);
    add_data_dir(exporting, what.data_dir);
    exporting.add_option("--output", what.output, "a file; else standard output");
    exporting.add_flag("--bundle", what.with_system_roots,
                       "after the system's roots, for clients whose setting replaces these");

    CLI::App& rotate =
        *group.add_subcommand("rotate", "make the next CA, which clients trust before it signs");
    auto& rotating = command(rotate, chosen, rotate_ca);
    add_data_dir(rotate, rotating.data_dir);
    auto* const activate = rotate.add_flag("--activate", rotating.activate, "the next CA signs from now on");
    auto* const cancel =
        rotate.add_flag("--cancel", rotating.cancel, "forget the next CA")->excludes(activate);
    add_list(rotate, "--name-constraint,--name-constraints", rotating.name_constraints,
             "DNS suffixes that it may sign for; none: all names. Else as the CA that signs")
        ->excludes(activate, cancel);

    CLI::App& import = *group.add_subcommand("import", "sign with a CA made elsewhere, such as a company's");
    auto& importing = command(import, chosen, import_ca);
    add_data_dir(import, importing.data_dir);
    import.add_option("--cert", importing.certificate, "its certificate and all up to the root, in PEM")
        ->required();
    import.add_option("--key", importing.key, "its private key, unencrypted, in PEM")->required();
    import.add_flag("--next", importing.next, "as the next CA, which rotate --activate lets sign");
}

}  // namespace nomiqon::cli
