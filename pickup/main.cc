// pickup: from maildrop/ to cleanup.
#include "pickup.h"

int main(int argc, char** argv)
{
    bulkhead::Pickup pickup;
    return bulkhead::run_worker(pickup, argc, argv);
}
