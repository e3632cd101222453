// TLS in the dialogue with clients that are not let in.  A sender that insists on TLS must find it
// there too: it would not go on to the tests otherwise, and never be let in.
#pragma once

#include "params.h"

#include "base/result.h"
#include "tls/context.h"
#include "tls/settings.h"

#include <memory>
#include <string>

namespace bulkhead
{

// postscreen_tls_security_level, or what the older parameters say; levels of clients, and words
// that mean nothing, are taken for encrypt.
tls::Level tls_level_of(const PostscreenParams& params);

// With the certificate of smtpd.  Null: there is none, or TLS is off.  Before the jail.
Result<std::unique_ptr<tls::ServerContext>> open_server_tls(const PostscreenParams& params,
                                                            const std::string& service);

} // namespace bulkhead
