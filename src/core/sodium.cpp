#include "nomiqon/core/sodium.h"

#include <sodium.h>
#include <cstdlib>

namespace nomiqon {

void ensure_sodium() noexcept {
    static const int result = sodium_init();
    if (result < 0) std::abort();
}

}  // namespace nomiqon
