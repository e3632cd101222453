// TLS of sessions whose environment is not known when the handshake begins: with the front door's
// own certificate.
#pragma once

#include "params.h"

#include "base/result.h"
#include "tls/context.h"

#include <memory>
#include <string>

namespace bulkhead
{

// Null: there is no certificate, or TLS is off.  Before the jail.
Result<std::unique_ptr<tls::ServerContext>> open_own_tls(const FrontDoorParams& params,
                                                         const std::string& service);

// Without TLS no mail from these clients.
bool is_tls_mandatory(const FrontDoorParams& params);

} // namespace bulkhead
