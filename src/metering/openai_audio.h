#pragma once

#include "openai_form.h"
#include "openai_plan.h"

namespace nomiqon::metering {

/// Rule 13: a transcription, whose request is a form.
[[nodiscard]] std::expected<OpenAiPlan, Refusal> plan_transcription(const OpenAiRequest& request,
                                                                    const Form& form);

}  // namespace nomiqon::metering
