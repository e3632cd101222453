// local: see local.h.
#include "local.h"

int main(int argc, char** argv)
{
    bulkhead::Local agent;
    return bulkhead::run_worker(agent, argc, argv);
}
