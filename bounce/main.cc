// bounce, defer, trace: see bounce.h.
#include "bounce.h"

int main(int argc, char** argv)
{
    bulkhead::Bounce bounce;
    return bulkhead::run_worker(bounce, argc, argv);
}
