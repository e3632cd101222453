// What postconf shows of main.cf and master.cf.
#pragma once

#include "options.h"

#include "base/result.h"

namespace bulkhead::postconf
{

// Parameters: those named, or all, or those that main.cf sets.
Result<> show_parameters(const Options& options);

// -M, -F, -P.
Result<> show_services(const Options& options);

// --coverage.
void show_coverage();

} // namespace bulkhead::postconf
