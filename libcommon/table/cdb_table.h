// cdb: constant databases, as tinycdb and djb's tools write them.  Made whole, never changed.
#pragma once

#include "table/map_file.h"

#include <memory>
#include <string>

namespace bulkhead
{

// A new file for `path`, with what NewMapFile says of mode and owner.
Result<std::unique_ptr<MapWriter>> create_cdb(const std::string& path, const std::string& like);

} // namespace bulkhead
