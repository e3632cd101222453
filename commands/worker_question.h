// Asks a worker program what it would do: starts it with -E (ipc/explain.h), with the
// arguments that a service of master.cf has.
#pragma once

#include "base/result.h"
#include "config/environment.h"
#include "ipc/message.h"

namespace bulkhead
{

// Its answer; Fault::config with the reason when it cannot start, or fails.
Result<ipc::Message> ask_worker(const EnvironmentConfig& environment, const ServiceEntry& service,
                                const ipc::Message& question);

} // namespace bulkhead
