#pragma once

#include "answer_reader.h"

namespace nomiqon::metering {

/// How an answer came, beside what its provider's reader found in it.
struct SeenAnswer {
    int status = 0;
    bool whole = false;  ///< to its end, or as far as it matters
    bool unreadable =
        false;  ///< something in it could not be read: the provider's form, a coding, a repeated member
    bool lossy = false;  ///< something in it had to be dropped that may have counted
};

/// Rules 15 to 17: what it cost.
[[nodiscard]] Charge rule(const AnswerTerms& terms, const SeenAnswer& answer, const Reported& reported);

}  // namespace nomiqon::metering
