// postalias: makes, changes and asks alias databases from aliases(5) files.
#include "table/map_command.h"

int main(int argc, char** argv)
{
    return bulkhead::run_map_command(argc, argv, bulkhead::MapSource::aliases);
}
