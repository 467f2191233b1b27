#pragma once

namespace nomiqon {

/// Must be called before any other use of libsodium; cheap after the first time. Thread-safe. Aborts when the
/// system has no source of random numbers: nothing that we do is safe then.
void ensure_sodium() noexcept;

}  // namespace nomiqon
