#include "showq.h"

#include "async/offload.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "spool/scan.h"
#include "worker/spool_of.h"

#include <array>
#include <mutex>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// corrupt/ is the administrator's affair and not part of the queue.
constexpr std::array shown_queues{Queue::maildrop, Queue::active, Queue::incoming, Queue::deferred,
                                  Queue::hold};

constexpr std::size_t parts_at_once = 6; // each in a thread of the pool
constexpr std::size_t part_files = 64;
constexpr std::size_t part_bytes = 256 * 1024; // of encoded answers; then the reader gets them

} // namespace

// What is being listed; the threads take turns in looking for names.
struct Showq::Listing {
    Queue queue;
    ipc::ShowOptions options;
    QueueScan scan;
    std::mutex scanning = {};
};

// Some files of a queue, and the frames of those that are read, ready to be sent.
struct Showq::Part {
    std::vector<QueueEntry> files;
    Result<> found;
    std::size_t next = 0;
    std::string frames;
    bool is_last = false; // nothing is left to read
    Scope reading;

    bool is_over() const { return next == files.size(); }
};

Result<> Showq::after_jail()
{
    TRY(Spool spool, open_own_spool(common()));
    spool_.emplace(std::move(spool));
    return {};
}

Task<ipc::Message> Showq::answer(const ipc::Message& request)
{
    const std::string reason = fmt::format("unexpected request of kind {}", static_cast<int>(request.kind()));
    log::warn(fmt::format("{} request refused: {}", service_name(), reason));
    co_return ipc::failure(reason);
}

Task<bool> Showq::converse(Session& session, ipc::Message request)
{
    if (request.kind() != ipc::Kind::show_queue)
        co_return co_await MessageWorker::converse(session, std::move(request));
    ipc::ShowOptions options;
    options.message_id = request.find("message_id").value_or("") == "1";
    const auto listed = co_await list(session.stream, options);
    if (!listed && listed.error().fault == Fault::io)
        log::warn(fmt::format("cannot list the queue: {}", listed.error().context));
    // A reader that went away, or a list with a hole in it: the connection ends without
    // the closing ok, so nobody takes it for the whole.
    if (!listed)
        co_return false;
    const ipc::Message end(ipc::Kind::ok);
    const auto sent = co_await tell(session, end);
    co_return static_cast<bool>(sent);
}

Task<Result<>> Showq::list(Stream& stream, ipc::ShowOptions options)
{
    for (const Queue queue : shown_queues)
        CO_TRY_VOID(co_await list_queue(stream, queue, options));
    co_return Result<>();
}

// The parts take turns: while one is sent the others are read, and it is read anew as soon as it
// is sent.
Task<Result<>> Showq::list_queue(Stream& stream, Queue queue, ipc::ShowOptions options)
{
    const auto open_scan = [&] { return QueueScan::open(*spool_, queue, {.with_info = false}); };
    auto scan = co_await offload(open_scan);
    if (!scan && scan.error().fault == Fault::not_found)
        co_return Result<>();
    if (!scan)
        co_return scan.error();
    Listing listing{queue, options, *std::move(scan)};
    std::array<Part, parts_at_once> parts;
    for (Part& part : parts)
        part.reading.spawn(read_next, this, &listing, &part);
    Result<> listed;
    std::size_t running = parts.size();
    for (std::size_t turn = 0; running > 0; ++turn) {
        Part& part = parts[turn % parts.size()];
        if (part.is_last)
            continue;
        co_await part.reading.empty();
        if (listed)
            listed = part.found;
        if (listed)
            listed = co_await send(stream, listing, part);
        part.is_last = !listed || part.files.empty();
        if (part.is_last)
            --running;
        else
            part.reading.spawn(read_next, this, &listing, &part);
    }
    co_return listed;
}

Task<Result<>> Showq::send(Stream& stream, const Listing& listing, Part& part)
{
    stream.write(part.frames);
    while (!part.is_over()) { // its frames were too many at once
        CO_TRY_VOID(co_await stream.flush());
        const auto read = [&] { read_files(listing, part); };
        co_await offload(read);
        stream.write(part.frames);
    }
    co_return co_await stream.flush();
}

Task<> Showq::read_next(Showq* self, Listing* listing, Part* part)
{
    const auto read = [&] {
        part->found = find_files(*listing, *part);
        self->read_files(*listing, *part);
    };
    co_await offload(read);
}

// On a thread of the pool, like the two that follow.
Result<> Showq::find_files(Listing& listing, Part& part)
{
    const std::lock_guard one_at_a_time(listing.scanning);
    part.next = 0;
    part.files.clear();
    TRY(part.files, listing.scan.slice(part_files));
    return {};
}

void Showq::read_files(const Listing& listing, Part& part) const
{
    part.frames.clear();
    while (!part.is_over() && part.frames.size() < part_bytes)
        read_file(listing, part.files[part.next++], part.frames);
}

void Showq::read_file(const Listing& listing, const QueueEntry& entry, std::string& frames) const
{
    const auto file = open_queue_file(*spool_, entry.path);
    if (!file || !file->info.is_ready())
        return; // gone, or still being written
    const auto shown = read_shown_message(*spool_, listing.queue, entry.id, *file, listing.options);
    if (shown) // else it is damaged: qmgr will say so
        encode(*shown).encode(frames);
}

} // namespace bulkhead
