// anvil: see anvil.h.
#include "anvil.h"

int main(int argc, char** argv)
{
    bulkhead::AnvilWorker anvil;
    return bulkhead::run_worker(anvil, argc, argv);
}
