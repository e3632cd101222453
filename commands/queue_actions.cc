#include "queue_actions.h"

#include "base/clock.h"
#include "spool/io.h"
#include "spool/marks.h"
#include "spool/moves.h"
#include "spool/recipient_log.h"
#include "spool/rehash.h"
#include "spool/scan.h"

#include <charconv>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr int search_attempts = 4;
static constexpr std::string_view repair_mark = "#FIX";

static constexpr std::array<Queue, 3> log_queues{Queue::bounce, Queue::defer, Queue::trace};

static std::vector<Queue> list_of(QueueSet set)
{
    std::vector<Queue> queues;
    for (const Queue queue : message_queues)
        if (set.has(queue))
            queues.push_back(queue);
    return queues;
}

static QueueSet default_queues(Action action)
{
    switch (action) {
    case Action::remove:
        return {Queue::maildrop, Queue::incoming, Queue::active, Queue::deferred, Queue::hold};
    case Action::hold:
        return {Queue::incoming, Queue::active, Queue::deferred};
    case Action::release:
        return {Queue::hold};
    default:
        return {Queue::incoming, Queue::active, Queue::deferred, Queue::hold};
    }
}

QueueSet QueueActions::queues_for(Action action) const
{
    if (queues_.empty())
        return default_queues(action);
    QueueSet chosen;
    for (const Queue queue : message_queues) {
        const bool possible = action == Action::remove    ? true
                              : action == Action::hold    ? queue != Queue::hold && queue != Queue::maildrop
                              : action == Action::release ? queue == Queue::hold
                                                          : queue != Queue::maildrop;
        if (queues_.has(queue) && possible)
            chosen.add(queue);
    }
    return chosen;
}

void QueueActions::tell_if(bool tell, const QueueId& id, std::string_view what) const
{
    if (tell)
        say_(Severity::info, fmt::format("{}: {}", id.text(), what));
}

Result<bool> QueueActions::release(const LocatedFile& file, const QueueId& id, bool tell)
{
    TRY_VOID(set_queue_file_time(spool_, file.path, WallTime::now().seconds));
    TRY_VOID(move_queue_file(spool_, file.path, Queue::deferred, id));
    ++counts_.released;
    tell_if(tell, id, "released from hold");
    return true;
}

Result<bool> QueueActions::expire(const LocatedFile& file, const QueueId& id, bool tell)
{
    if (file.info.is_expire_forced())
        return false;
    TRY(const OpenQueueFile open, open_queue_file(spool_, file.path));
    TRY_VOID(force_expire(open.fd.get()));
    ++counts_.expired;
    tell_if(tell, id, "expired");
    return true;
}

// true: something was changed.  Fault::not_found: the file is no longer there.
Result<bool> QueueActions::act(Action action, const LocatedFile& file, const QueueId& id, bool tell)
{
    switch (action) {
    case Action::remove:
        TRY_VOID(remove_recipient_logs(spool_, id));
        TRY_VOID(remove_queue_file(spool_, file.path));
        // what a delivery that is just ending has written between the two
        TRY_VOID(remove_recipient_logs(spool_, id));
        ++counts_.removed;
        tell_if(tell, id, "removed");
        return true;
    case Action::hold:
        TRY_VOID(move_queue_file(spool_, file.path, Queue::hold, id));
        ++counts_.held;
        tell_if(tell, id, "placed on hold");
        return true;
    case Action::release:
        return release(file, id, tell);
    case Action::requeue:
        TRY_VOID(set_queue_file_time(spool_, file.path, WallTime::now().seconds));
        TRY_VOID(move_queue_file(spool_, file.path, Queue::maildrop, id));
        ++counts_.requeued;
        tell_if(tell, id, "requeued");
        return true;
    case Action::expire:
        return expire(file, id, tell);
    case Action::expire_and_release:
        TRY(const bool expired, expire(file, id, tell));
        if (file.queue != Queue::hold)
            return expired;
        return release(file, id, tell);
    }
    return false;
}

void QueueActions::apply(Action action, const QueueId& id)
{
    const std::vector<Queue> queues = list_of(queues_for(action));
    for (int attempt = 0; attempt < search_attempts; ++attempt) {
        const auto found = locate(spool_, queues, id);
        if (!found)
            return say_(Severity::warning, found.error().context);
        // not found may be between two looks: it is looked for once more
        if (!*found && attempt > 0)
            return;
        if (!*found)
            continue;
        const auto done = act(action, **found, id, true);
        if (done)
            return;
        if (done.error().fault != Fault::not_found)
            return say_(Severity::warning, fmt::format("{}: {}", id.text(), done.error().context));
    }
}

void QueueActions::apply_to_all(Action action)
{
    for (const Queue queue : list_of(queues_for(action))) {
        auto scan = QueueScan::open(spool_, queue);
        for (;;) {
            const auto entry = scan ? scan->next() : Result<std::optional<QueueEntry>>(scan.error());
            if (!entry) {
                if (entry.error().fault != Fault::not_found)
                    say_(Severity::warning, entry.error().context);
                break;
            }
            if (!*entry)
                break;
            if ((*entry)->is_unfinished())
                continue;
            const LocatedFile file{queue, (*entry)->path, (*entry)->info};
            const auto done = act(action, file, (*entry)->id, false);
            if (!done && done.error().fault == Fault::not_found)
                apply(action, (*entry)->id); // it has just gone to another queue
            else if (!done)
                say_(Severity::warning, done.error().context);
        }
    }
}

Result<std::size_t> purge_unfinished(const Spool& spool, QueueSet queues, std::int64_t max_age)
{
    const std::int64_t now = WallTime::now().seconds;
    std::size_t purged = 0;
    for (const Queue queue : list_of(queues)) {
        auto scan = QueueScan::open(spool, queue, {.foreign_names = true});
        if (!scan && scan.error().fault == Fault::not_found)
            continue;
        if (!scan)
            return scan.error();
        for (;;) {
            TRY(const auto entry, scan->next());
            if (!entry)
                break;
            if (!entry->is_unfinished() || entry->info.modified + max_age > now)
                continue;
            const auto removed = remove_queue_file(spool, entry->path);
            if (!removed && removed.error().fault != Fault::not_found)
                return removed.error();
            if (removed)
                ++purged;
        }
    }
    return purged;
}

// The id that this inode asks for, in the form that the id has.
static QueueId id_for_inode(const QueueId& id, std::uint64_t inode)
{
    if (id.is_long())
        return QueueId::make_long(id.time().value_or(WallTime::now()), inode);
    std::int32_t microseconds = 0;
    const std::string_view digits = std::string_view(id.text()).substr(0, 5);
    std::from_chars(digits.data(), digits.data() + digits.size(), microseconds, 16);
    return QueueId::make_short({.seconds = 0, .microseconds = microseconds}, inode);
}

static bool must_be_renamed(const QueueEntry& entry, bool with_long)
{
    const auto named = entry.id.inode();
    if (entry.id.is_long())
        return with_long && named != entry.info.inode;
    return named != entry.info.inode;
}

// "deferred/A/OLD" to "deferred/A/NEW#FIX": a name that no other message has or gets.
static Result<> mark_for_repair(const Spool& spool, const std::string& path, const QueueId& wanted)
{
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    return rename_in_spool(spool, path, fmt::format("{}{}{}", folder, wanted.text(), repair_mark));
}

// First pass over a queue.  Renaming while a directory is read may show a file twice; the
// second time it has its mark.
static Result<std::size_t> mark_wrong_names(const Spool& spool, Queue queue, bool with_long,
                                            const QueueActions::Say& say)
{
    TRY(QueueScan scan, QueueScan::open(spool, queue));
    std::size_t marked = 0;
    for (;;) {
        TRY(const auto entry, scan.next());
        if (!entry)
            return marked;
        if (!must_be_renamed(*entry, with_long))
            continue;
        const QueueId wanted = id_for_inode(entry->id, entry->info.inode);
        for (const Queue log : log_queues) {
            const auto moved = mark_for_repair(spool, spool.path_of(log, entry->id), wanted);
            if (!moved && moved.error().fault != Fault::not_found)
                say(Severity::warning, moved.error().context);
        }
        const auto moved = mark_for_repair(spool, entry->path, wanted);
        if (moved)
            ++marked;
        else if (moved.error().fault != Fault::not_found)
            say(Severity::warning, moved.error().context);
    }
}

Result<std::size_t> repair_names(const Spool& spool, QueueSet queues, bool with_long,
                                 const QueueActions::Say& say)
{
    std::size_t renamed = 0;
    for (const Queue queue : list_of(queues)) {
        const auto marked = mark_wrong_names(spool, queue, with_long, say);
        if (!marked && marked.error().fault != Fault::not_found)
            return marked.error();
        renamed += marked ? *marked : 0;
    }
    // Second pass: marks off, and every file to where its id belongs.
    const auto complain = [&](const Error& error) { say(Severity::warning, error.context); };
    for (const Queue log : log_queues)
        TRY_VOID(rehash_queue(spool, log, complain, repair_mark));
    for (const Queue queue : list_of(queues))
        TRY_VOID(rehash_queue(spool, queue, complain, repair_mark));
    return renamed;
}

} // namespace bulkhead
