#include <sys/resource.h>
#include <csignal>
#include <cstdio>
#include <exception>

#include "command_line.h"

namespace {

/// A core dump would hold agents' private keys; a closed pipe is told by the write that fails.
void prepare_process() {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &none);
    std::signal(SIGPIPE, SIG_IGN);
}

int run(int argc, char** argv) {
    using namespace nomiqon::cli;
    auto line = parse_command_line(argc, argv);
    Context context{line.global};
    if (line.wrong) {
        context.out.failure(*line.wrong);
        return line.wrong->exit_code;
    }
    int exit_code = exit_ok;
    if (line.action) {
        if (const auto done = line.action(context); !done) {
            // `token verify` has said all in its one word.
            if (!done.error().message.empty()) context.out.failure(done.error());
            exit_code = done.error().exit_code;
        }
    }
    if (context.out.finish()) return exit_code;
    return exit_failed;
}

}  // namespace

int main(int argc, char** argv) {
    prepare_process();
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "nomiqon: internal error: %s\n", error.what());
        return nomiqon::cli::exit_failed;
    }
}
