// The file that postlogd appends to, or descriptor 1.  What cannot be written is
// dropped and counted: a full disk or a reader that sleeps must not hold up mail.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>

namespace bulkhead
{

class LogFile
{
public:
    LogFile() = default;

    // path: an existing file (its place and kind were checked), or "/dev/stdout".
    static Result<LogFile> open(const std::string& path);

    // Whole lines, each ended by LF, in one system call where the kernel takes them
    // so; false when some were lost.  The pieces are used up.
    bool append(std::span<iovec> pieces);

    // Lines lost since the last call, and why the last of them was.
    std::uint64_t take_lost();
    const std::string& reason() const { return reason_; }

private:
    bool give_up(std::span<const iovec> rest, int number);

    UniqueFd fd_;
    bool torn_ = false; // the last line that was written has no end
    std::uint64_t lost_ = 0;
    std::string reason_ = "maillog_file is not set";
};

} // namespace bulkhead
