// Notices that a file which was read has been replaced or changed.  Holds a descriptor, so it
// works after chroot, where the path means something else.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <ctime>
#include <string>

namespace bulkhead
{

class FileWatch
{
public:
    FileWatch() = default;
    static Result<FileWatch> open(const std::string& path);

    // Written to since open(), or no longer the file of that name (renamed over, removed).
    bool changed() const;

private:
    UniqueFd fd_;
    timespec modified_{};
};

} // namespace bulkhead
