// virtual: see virtual.h.
#include "virtual.h"

int main(int argc, char** argv)
{
    bulkhead::Virtual agent;
    return bulkhead::run_worker(agent, argc, argv);
}
