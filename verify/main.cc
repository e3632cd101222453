// verify: see verify.h.
#include "verify.h"

int main(int argc, char** argv)
{
    bulkhead::Verify verify;
    return bulkhead::run_worker(verify, argc, argv);
}
