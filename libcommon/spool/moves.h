// Queue files on their way: from queue to queue, to their next attempt, out.
// A move is one rename; it never replaces a file that is already there.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "spool/paths.h"
#include "spool/queue_file.h"

#include <optional>
#include <span>
#include <string>

namespace bulkhead
{

// Renames; makes hash directories when they are missing.  Fault::not_found: the
// file is gone.  Fault::refused: the target has a file of that id.
Result<> move_queue_file(const Spool& spool, Queue from, Queue to, const QueueId& id);
// The same from wherever a scan or locate() found it.
Result<> move_queue_file(const Spool& spool, const std::string& from_path, Queue to, const QueueId& id);

// Access and modification time; in deferred the latter says when to try next.
Result<> set_queue_file_time(const Spool& spool, const std::string& path, std::int64_t seconds);

// The time of the next attempt, then the move to deferred, in this order: a
// file in deferred never shows an attempt time that is not meant.  Where there is no
// room for one of deferred's folders the file goes to incoming, which has none.  Says
// where it is now.
Result<Queue> defer_queue_file(const Spool& spool, Queue from, const QueueId& id, std::int64_t next_attempt);

// Fault::not_found if it is gone already.
Result<> remove_queue_file(const Spool& spool, Queue queue, const QueueId& id);
Result<> remove_queue_file(const Spool& spool, const std::string& path);

// Where a file of this id is: looks where it belongs first, then at other hash
// depths.  nullopt: in none of these queues.
struct LocatedFile {
    Queue queue{};
    std::string path;
    FileInfo info;
};
Result<std::optional<LocatedFile>> locate(const Spool& spool, std::span<const Queue> queues,
                                          const QueueId& id);

} // namespace bulkhead
