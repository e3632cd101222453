// The modules of table types that need a library of their own: DIR/table-TYPE.so, DIR being the folder
// of the daemons.  Loaded when the first table of the type is opened, before the jail, and kept.
#pragma once

#include "table/server_module.h"

#include "base/result.h"

namespace bulkhead
{

// Fault::not_found: "table type mysql: module DIR/table-mysql.so is not installed (package ...)".
Result<const ServerModule*> load_server_module(std::string_view type);

// The types that have a module, installed or not.
std::vector<std::string_view> server_module_types();
bool is_server_module_installed(std::string_view type);

// For tests, whose programs lie elsewhere.
void set_server_module_directory(std::string directory);

} // namespace bulkhead
