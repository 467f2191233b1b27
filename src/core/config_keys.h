#pragma once

#include "config_value.h"
#include "nomiqon/core/config.h"

namespace nomiqon::config_detail {

/// Reads the whole document: every key that the table in config_keys.cpp knows.
void read_document(const Value& document, Config& config);

}  // namespace nomiqon::config_detail
