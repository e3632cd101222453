#include "intake.h"

#include "log/log.h"
#include "spool/lock.h"
#include "spool/marks.h"
#include "spool/queue_file.h"
#include "spool/recipient_log.h"
#include "spool/rehash.h"

namespace bulkhead
{

static Claim not_claimed(ClaimState state, std::string reason = {})
{
    Claim claim;
    claim.state = state;
    claim.reason = std::move(reason);
    return claim;
}

static Claim move_to_corrupt(const Spool& spool, Queue from, const QueueId& id, std::string reason)
{
    const auto moved = move_queue_file(spool, from, Queue::corrupt, id);
    if (!moved)
        return not_claimed(ClaimState::failed, moved.error().context);
    return not_claimed(ClaimState::corrupt, std::move(reason));
}

// Not complete: either its writer is at work and holds the lock, or it is dead and
// nobody was ever told that we have this message.
static Claim leave_or_remove_unfinished(const Spool& spool, Queue from, const QueueId& id, int fd)
{
    const auto locked = try_lock(fd, FileLock::exclusive);
    if (!locked || !*locked)
        return not_claimed(ClaimState::busy);
    (void)remove_queue_file(spool, from, id);
    return not_claimed(ClaimState::gone, "removed an unfinished file whose writer has died");
}

Claim claim_queue_file(const Spool& spool, const QueueId& id, const ClaimOptions& options)
{
    auto file = open_queue_file(spool, options.from, id, Access::read_write);
    if (!file)
        return not_claimed(file.error().fault == Fault::not_found ? ClaimState::gone : ClaimState::failed,
                           file.error().context);
    const int fd = file->fd.get();
    if (file->info.is_marked_corrupt())
        return move_to_corrupt(spool, options.from, id, "marked as corrupt by a delivery agent");
    if (!file->info.is_ready())
        return options.from == Queue::incoming ? leave_or_remove_unfinished(spool, options.from, id, fd)
                                               : not_claimed(ClaimState::early);
    if (!options.ignore_time && file->info.modified > options.now + 1)
        return not_claimed(ClaimState::early);
    const auto locked = try_lock(fd, FileLock::exclusive);
    if (!locked)
        return not_claimed(ClaimState::failed, locked.error().context);
    if (!*locked)
        return not_claimed(ClaimState::busy);
    const auto moved = move_queue_file(spool, options.from, Queue::active, id);
    if (!moved)
        return not_claimed(moved.error().fault == Fault::not_found ? ClaimState::gone : ClaimState::failed,
                           moved.error().context);
    if (!options.fresh)
        (void)remove_recipient_log(spool, Queue::defer, id); // the reasons of the last attempt

    Claim claim;
    auto envelope = read_envelope(fd, {.max_recipients = options.max_recipients, .with_attributes = false});
    if (!envelope && envelope.error().fault == Fault::malformed)
        return move_to_corrupt(spool, Queue::active, id, envelope.error().context);
    if (!envelope) { // nobody looks into active/ again: back to where scans find it
        (void)move_queue_file(spool, Queue::active, options.from, id);
        return not_claimed(ClaimState::failed, envelope.error().context);
    }
    claim.envelope = std::move(*envelope);
    claim.state = ClaimState::claimed;
    claim.force_expire = file->info.is_expire_forced();
    claim.unthrottle = file->info.is_unthrottle_wanted();
    if (claim.unthrottle)
        (void)clear_unthrottle(fd);
    return claim;
}

Claim claim_logged(const Spool& spool, LogSegment& segment, const LogStates& states, const LogPlace& place,
                   std::size_t max_recipients)
{
    if (states.of(place.slot, place.serial) != LogState::alive)
        return not_claimed(ClaimState::gone);
    const auto file = segment.open(spool, place);
    if (!file)
        return not_claimed(ClaimState::failed, file.error().context);
    const auto image = read_log_image((*file)->get(), states.key(), place);
    if (!image)
        return not_claimed(ClaimState::failed, image.error().context);
    auto envelope = parse_envelope(*image, {.max_recipients = max_recipients, .with_attributes = false});
    if (!envelope)
        return not_claimed(ClaimState::corrupt, envelope.error().context);
    Claim claim;
    claim.envelope = std::move(*envelope);
    claim.state = ClaimState::claimed;
    return claim;
}

bool is_misplaced(const Spool& spool, Queue queue, const QueueEntry& entry)
{
    return entry.path != spool.path_of(queue, entry.id);
}

Result<std::size_t> rehash_spool(const Spool& spool)
{
    const auto complain = [](const Error& error) { log::warn(error.context); };
    std::size_t moved = 0;
    for (const Queue queue :
         {Queue::bounce, Queue::defer, Queue::trace, Queue::incoming, Queue::deferred, Queue::hold}) {
        TRY(const std::size_t here, rehash_queue(spool, queue, complain));
        moved += here;
    }
    return moved;
}

// "<microseconds>.<pid>", and nothing in it yet: see NewQueueFile::create().
static bool is_nameless(const QueueEntry& entry)
{
    const std::string_view name = std::string_view(entry.path).substr(entry.path.rfind('/') + 1);
    return entry.id.empty() && entry.info.size == 0 && entry.is_unfinished() &&
           name.find('.') != std::string_view::npos &&
           name.find_first_not_of("0123456789.") == std::string_view::npos;
}

static void remove_if_abandoned(const Spool& spool, const QueueEntry& entry)
{
    const auto file = open_queue_file(spool, entry.path, Access::read_write);
    if (!file)
        return;
    const auto locked = try_lock(file->fd.get(), FileLock::exclusive);
    if (locked && *locked)
        (void)remove_queue_file(spool, entry.path);
}

Result<std::size_t> remove_nameless(const Spool& spool, std::int64_t now)
{
    constexpr std::int64_t naming_time = 5; // seconds; a writer that needs longer must try again
    TRY(QueueScan scan, QueueScan::open(spool, Queue::incoming, {.foreign_names = true}));
    std::size_t young = 0;
    for (;;) {
        TRY(const auto entry, scan.next());
        if (!entry)
            return young;
        if (!is_nameless(*entry))
            continue;
        if (entry->info.modified + naming_time > now)
            ++young;
        else
            remove_if_abandoned(spool, *entry);
    }
}

// One file that cannot be moved must not keep the others back.
Result<std::size_t> recover_active(const Spool& spool)
{
    TRY(QueueScan scan, QueueScan::open(spool, Queue::active));
    std::size_t count = 0;
    std::optional<Error> trouble;
    for (;;) {
        TRY(const auto entry, scan.next());
        if (!entry)
            break;
        auto done = set_queue_file_time(spool, entry->path, WallTime::now().seconds);
        if (done)
            done = move_queue_file(spool, entry->path, Queue::incoming, entry->id);
        if (!done && done.error().fault != Fault::not_found)
            trouble = done.error();
        else
            ++count;
    }
    if (trouble)
        return *trouble;
    return count;
}

} // namespace bulkhead
