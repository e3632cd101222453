// What an administrator does to messages in a spool: remove, hold, release, requeue,
// expire, and the repair of a spool that was copied.  Works beside running workers:
// everything is one rename, one unlink or one mode bit, and a file that moved meanwhile
// is looked for again.
#pragma once

#include "base/result.h"
#include "log/log.h"
#include "spool/paths.h"
#include "spool/queue_id.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

namespace bulkhead
{

struct LocatedFile;

enum class Action { remove, hold, release, requeue, expire, expire_and_release };

// How many messages were touched, for the summary.
struct ActionCounts {
    std::size_t removed = 0;
    std::size_t held = 0;
    std::size_t released = 0;
    std::size_t requeued = 0;
    std::size_t expired = 0;
};

class QueueActions
{
public:
    using Say = std::function<void(Severity, std::string_view)>;

    // queues: only these; empty: the ones that the manual names for each action.  `say` gets
    // "ID: removed" and warnings.  The spool must outlive this.
    QueueActions(const Spool& spool, QueueSet queues, Say say)
        : spool_(spool), queues_(queues), say_(std::move(say))
    {
    }

    // One message; nothing happens when it is in none of the queues.
    void apply(Action action, const QueueId& id);
    // Every message, without a line for each.
    void apply_to_all(Action action);

    const ActionCounts& counts() const { return counts_; }

private:
    QueueSet queues_for(Action action) const;
    Result<bool> act(Action action, const LocatedFile& file, const QueueId& id, bool tell);
    Result<bool> expire(const LocatedFile& file, const QueueId& id, bool tell);
    Result<bool> release(const LocatedFile& file, const QueueId& id, bool tell);
    void tell_if(bool tell, const QueueId& id, std::string_view what) const;

    const Spool& spool_;
    QueueSet queues_;
    Say say_;
    ActionCounts counts_;
};

// Removes files that were never finished and are older than max_age seconds.  Gives how many.
Result<std::size_t> purge_unfinished(const Spool& spool, QueueSet queues, std::int64_t max_age);

// Gives each file the name that its inode asks for (short ids; long ones too if with_long)
// and its place in the hash directories, its logs with it.  An interrupted repair is
// finished by the next one.  The number of renamed messages.
Result<std::size_t> repair_names(const Spool& spool, QueueSet queues, bool with_long,
                                 const QueueActions::Say& say);

} // namespace bulkhead
