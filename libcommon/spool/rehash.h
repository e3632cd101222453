// Putting the files of a queue where their ids belong, after hash_queue_names or
// hash_queue_depth has changed or a spool was brought from elsewhere.
#pragma once

#include "base/result.h"
#include "spool/paths.h"

#include <cstddef>
#include <functional>
#include <string_view>

namespace bulkhead
{

// Walks a whole queue by names (no file is read) and moves what is not where path_of()
// says.  Names "ID<mark>" are taken for ids if a mark is given.  A file that cannot be moved
// is told to `complain` and stays; a queue without a folder is no error.  Gives how many
// files were moved.
Result<std::size_t> rehash_queue(const Spool& spool, Queue queue,
                                 const std::function<void(const Error&)>& complain,
                                 std::string_view mark = {});

} // namespace bulkhead
