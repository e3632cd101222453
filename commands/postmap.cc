// postmap: makes, changes and asks lookup tables of `key value` lines.
#include "table/map_command.h"

int main(int argc, char** argv)
{
    return bulkhead::run_map_command(argc, argv, bulkhead::MapSource::map);
}
