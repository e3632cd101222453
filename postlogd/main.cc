// postlogd: see postlogd.h.
#include "postlogd.h"

int main(int argc, char** argv)
{
    bulkhead::Postlogd postlogd;
    return bulkhead::run_worker(postlogd, argc, argv);
}
