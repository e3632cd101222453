#include "spool_inspector.h"

#include <sysexits.h>

#include <cstdio>

namespace bulkhead
{

int spool_inspector(std::span<char*>)
{
    std::fputs(
        "usage: bulkhead spool [-c DIR | --env NAME] [--json] [--wait 'deferred=1,active=0' --timeout 10]\n",
        stderr);
    return EX_USAGE;
}

} // namespace bulkhead
