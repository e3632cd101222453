// Where environments take sessions from the front door of the primary one: a service `frontdoor`
// of type pass listens in the primary's spool, in a folder that only the primary's user enters.
// The environment's workers get the listening descriptor and nothing else of that spool; the
// front door, in its own jail, finds one socket per environment that runs.
#pragma once

#include "plan.h"

namespace bulkhead
{

// Moves the socket of such a service to `frontdoor/NAME` in the primary's spool ("-" for the
// primary's own).
void place_behind_front_door(EnvironmentPlan& plan, const EnvironmentPlan& primary);

} // namespace bulkhead
