// spawn: see spawn.h.
#include "spawn.h"

int main(int argc, char** argv)
{
    bulkhead::Spawn worker;
    return bulkhead::run_worker(worker, argc, argv);
}
