// postmap and postalias: the same program but for the syntax of the source file.
#pragma once

namespace bulkhead
{

enum class MapSource { map, aliases };

// The whole command; the exit status is 0, or 1 for an error and for a key that was not found.
int run_map_command(int argc, char** argv, MapSource source);

} // namespace bulkhead
