// The name of a client: what its address leads to in hosts(5) and the DNS, believed when the
// name leads back to the address.
#pragma once

#include "peer.h"

#include "async/task.h"

namespace bulkhead
{

namespace dns
{
class Resolver;
}

// Fills in the names of a client on the network, and logs one that does not lead back.
Task<> look_up_name(Peer& peer, dns::Resolver& resolver);

} // namespace bulkhead
