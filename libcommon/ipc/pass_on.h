// A request that one delivery agent gives to another: qmgr's part, played by an agent.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"
#include "ipc/delivery.h"

namespace bulkhead::ipc
{

// What became of the recipients, in order.  The other agent has logged and marked those that have an
// offset.  Fault::broken when it refuses the request, Fault::malformed for an answer about others.
Task<Result<DeliveryReport>> pass_on(Service& agent, DeliveryRequest request);

} // namespace bulkhead::ipc
