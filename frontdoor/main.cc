// frontdoor: one port for many environments.
#include "front_door.h"

int main(int argc, char** argv)
{
    bulkhead::FrontDoor door;
    return bulkhead::run_worker(door, argc, argv);
}
