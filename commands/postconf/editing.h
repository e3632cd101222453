// What postconf changes in main.cf and master.cf: requests of the command line become new
// contents of the file.  Comments and order stay; nothing is written when a request is bad.
#pragma once

#include "options.h"

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::postconf
{

// -e, -X and -# on files.
Result<> edit_parameters(const Options& options);
Result<> edit_services(const Options& options);

// The same on texts.  warnings gets what the person should know.
Result<std::string> edited_main_cf(std::string_view text, const Options& options,
                                   std::vector<std::string>& warnings);
Result<std::string> edited_master_cf(std::string_view text, const Options& options,
                                     std::vector<std::string>& warnings);

} // namespace bulkhead::postconf
