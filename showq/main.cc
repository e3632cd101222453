// showq: see showq.h.
#include "showq.h"

int main(int argc, char** argv)
{
    bulkhead::Showq showq;
    return bulkhead::run_worker(showq, argc, argv);
}
