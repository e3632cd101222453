// A queue file as a file: opening it and what stat says about it.  What is in it
// is read by envelope.h (who, from where, to whom), content_reader.h (the text)
// and record_stream.h (the records, for inspectors and pickup); all are
// synchronous, callers run them on a pool.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/content_reader.h"
#include "spool/envelope.h"
#include "spool/paths.h"

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace bulkhead
{

// What stat says, as far as a queue cares.
struct FileInfo {
    mode_t mode = 0;
    uid_t owner = 0;
    nlink_t links = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified = 0;              // seconds; in deferred: the next attempt
    std::int64_t modified_microseconds = 0; // part below the second

    bool is_regular() const;
    // Complete: a regular file that its owner may read, write and execute.
    bool is_ready() const;
    bool is_marked_corrupt() const;    // 0400
    bool is_expire_forced() const;     // 0010
    bool is_unthrottle_wanted() const; // 0040
};

enum class Access { read, read_write };

struct OpenQueueFile {
    UniqueFd fd;
    FileInfo info;
};

// Opens a file by queue and id, or by a path relative to the spool's root (from
// a scan).  Symbolic links and everything that is not a regular file are
// refused.  Fault::not_found if there is none.
Result<OpenQueueFile> open_queue_file(const Spool& spool, Queue queue, const QueueId& id,
                                      Access access = Access::read);
Result<OpenQueueFile> open_queue_file(const Spool& spool, const std::string& path,
                                      Access access = Access::read);

// stat of a path relative to the root, symbolic links not followed.
Result<FileInfo> file_info(const Spool& spool, const std::string& path);

} // namespace bulkhead
