// flush: see flush.h.
#include "flush.h"

int main(int argc, char** argv)
{
    bulkhead::Flush flush;
    return bulkhead::run_worker(flush, argc, argv);
}
