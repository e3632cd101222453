// proxymap: tables outside the jail, for those inside.
#include "proxymap.h"

int main(int argc, char** argv)
{
    bulkhead::Proxymap proxymap;
    return bulkhead::run_worker(proxymap, argc, argv);
}
