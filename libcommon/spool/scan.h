// Walking through one queue in slices, at any hash depth.  Files come and go
// meanwhile: what vanishes is passed over, what appears may or may not be seen.
#pragma once

#include "base/result.h"
#include "spool/paths.h"
#include "spool/queue_file.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

struct QueueEntry {
    QueueId id;       // empty for a name that is no queue id (only with foreign_names)
    std::string path; // relative to the spool's root
    FileInfo info;    // zeros without with_info

    // Still being written, or left behind by a writer that died (needs info).
    bool is_unfinished() const { return !info.is_ready() && !info.is_marked_corrupt(); }
};

struct ScanOptions {
    bool with_info = true;      // stat each file; entries that are no regular files are then left out
    bool foreign_names = false; // also names that are no ids: <usec>.<pid>, "ID#FIX"
};

// Not shared between threads.  Holds one directory open per depth.
class QueueScan
{
public:
    static constexpr std::size_t max_depth = 17; // the queue and 16 hash directories

    // The spool must outlive the scan.  A missing queue directory is Fault::not_found.
    static Result<QueueScan> open(const Spool& spool, Queue queue, ScanOptions options = {});

    QueueScan(QueueScan&&) noexcept;
    QueueScan& operator=(QueueScan&&) noexcept;
    ~QueueScan();

    // The next file; nullopt at the end.
    Result<std::optional<QueueEntry>> next();

    // Up to `limit` further files; an empty slice is the end.
    Result<std::vector<QueueEntry>> slice(std::size_t limit);

private:
    struct Level;
    QueueScan(const Spool& spool, ScanOptions options);

    const Spool* spool_;
    ScanOptions options_;
    std::vector<Level> levels_;
};

// True if no file with a queue id is in the queue, at any depth.  Stops at the first one.
Result<bool> is_empty(const Spool& spool, Queue queue);

} // namespace bulkhead
