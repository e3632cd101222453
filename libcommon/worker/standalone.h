// The hand-run form -S: one session on stdin and stdout.  Streams want one socket
// that can wait, stdin and stdout may be anything; a child copies between them.
#pragma once

#include "base/result.h"

namespace bulkhead
{

// Our end of the pair; the copying child runs from now on.
Result<int> standalone_socket();

// Until the child has written all that we sent.
void wait_for_standalone_copier();

} // namespace bulkhead
