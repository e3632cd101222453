// How far one delivery raises or lowers the concurrency of its destination
// (default_destination_concurrency_positive_feedback and _negative_feedback).
#pragma once

#include "base/result.h"

#include <string_view>

namespace bulkhead
{

// A feedback number: f, or f divided by the window ("1/concurrency").
struct Feedback {
    double amount = 1;
    bool per_concurrency = false;
    double at(int window) const { return per_concurrency && window > 0 ? amount / window : amount; }

    // "1", "0.5", "1/4", "1/concurrency", "1/sqrt_concurrency" is refused.
    static Result<Feedback> parse(std::string_view text);
};

} // namespace bulkhead
