// Notices that a file which was read has been replaced or changed, also when its name is a
// symbolic link that now leads elsewhere (renewed certificates).  Holds descriptors, so it works
// after chroot, where the path means something else.
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
    UniqueFd link_; // the name itself, when it is a symbolic link
    timespec modified_{};
};

} // namespace bulkhead
