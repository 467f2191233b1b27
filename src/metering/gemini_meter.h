#pragma once

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// The Gemini API of generativelanguage.googleapis.com.
[[nodiscard]] const Meter& gemini_meter();

}  // namespace nomiqon::metering
