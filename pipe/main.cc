// pipe: see pipe.h.
#include "pipe.h"

int main(int argc, char** argv)
{
    bulkhead::Pipe agent;
    return bulkhead::run_worker(agent, argc, argv);
}
