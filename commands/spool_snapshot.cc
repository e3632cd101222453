#include "spool_snapshot.h"

#include "config/config.h"
#include "ipc/shown_file.h"
#include "os/files.h"
#include "spool/commit_log.h"
#include "spool/marks.h"
#include "spool/queue_file.h"
#include "spool/scan.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

static SnapshotMessage read_message(const Spool& spool, Queue queue, const QueueId& id,
                                    const OpenQueueFile& file, bool with_message_id)
{
    SnapshotMessage message;
    message.shown.queue_name = queue_name(queue);
    message.shown.queue_id = id.text();
    message.shown.size = file.info.size;
    message.shown.arrival_time = file.info.modified;
    message.shown.forced_expire = file.info.is_expire_forced();
    message.modified = file.info.modified;

    ipc::ShowOptions options;
    options.message_id = with_message_id;
    options.max_recipients = options.max_recipient_bytes = std::numeric_limits<std::size_t>::max();
    auto shown = read_shown_message(spool, queue, id, file, options);
    if (shown)
        message.shown = std::move(*shown);
    else
        message.problem = shown.error().context;
    return message;
}

Result<Spool> open_configured_spool(const Config& config)
{
    SpoolLayout layout;
    layout.root = config.queue_directory();
    TRY(layout.hash_queues, QueueSet::parse_hash_names(config.get("hash_queue_names")));
    TRY(const std::int64_t depth, config.get_int("hash_queue_depth"));
    if (depth < 1 || depth > max_hash_depth)
        return Error{Fault::config,
                     fmt::format("{}: bad hash_queue_depth: {}", config.place("hash_queue_depth"), depth)};
    layout.hash_depth = static_cast<unsigned>(depth);
    return Spool::open(std::move(layout));
}

// A message of the commit log, as the file that it would be.
static Result<OpenQueueFile> as_file(const LeftLog::Message& message)
{
    OpenQueueFile file;
    file.fd.reset(::memfd_create("message", MFD_CLOEXEC));
    if (!file.fd)
        return system_error("memfd_create");
    TRY_VOID(write_all(file.fd.get(), message.image));
    file.info.mode = S_IFREG | file_mode::ready;
    file.info.size = static_cast<std::int64_t>(message.image.size());
    return file;
}

Result<> read_queue(const Spool& spool, Queue queue, bool with_message_id,
                    const std::function<void(SnapshotMessage)>& see)
{
    if (queue == Queue::incoming)
        for (const LeftLog::Message& message : logged_messages(spool)) {
            TRY(const OpenQueueFile file, as_file(message));
            see(read_message(spool, queue, message.place.id, file, with_message_id));
        }
    auto scan = QueueScan::open(spool, queue);
    if (!scan)
        return scan.error();
    for (;;) {
        TRY(const auto entry, scan->next());
        if (!entry)
            return {};
        if (entry->is_unfinished())
            continue;
        const auto file = open_queue_file(spool, entry->path);
        if (file)
            see(read_message(spool, queue, entry->id, *file, with_message_id));
    }
}

std::optional<SnapshotMessage> read_located_message(const Spool& spool, Queue queue, const QueueId& id,
                                                    const std::string& path)
{
    const auto file = open_queue_file(spool, path);
    if (!file || (!file->info.is_ready() && !file->info.is_marked_corrupt()))
        return std::nullopt;
    return read_message(spool, queue, id, *file, false);
}

Result<std::size_t> count_queue(const Spool& spool, Queue queue)
{
    std::size_t count = queue == Queue::incoming ? count_logged(spool) : 0; // first: see commit_log.h
    TRY(QueueScan scan, QueueScan::open(spool, queue));
    for (;;) {
        TRY(const auto entry, scan.next());
        if (!entry)
            return count;
        if (!entry->is_unfinished())
            ++count;
    }
}

} // namespace bulkhead
