#pragma once

#include <functional>

#include "commands.h"

namespace nomiqon::cli {

using Action = std::function<Outcome<void>(Context&)>;

/// What was asked for, or what is wrong with the command line.
struct CommandLine {
    GlobalOptions global;
    Action action;  ///< empty: the help was printed, or something is wrong
    std::optional<Failure> wrong;
};

[[nodiscard]] CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace nomiqon::cli
