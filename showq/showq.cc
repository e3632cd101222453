#include "showq.h"

#include "async/offload.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "spool/scan.h"
#include "worker/spool_of.h"

#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// corrupt/ is the administrator's affair and not part of the queue.
constexpr std::array shown_queues{Queue::maildrop, Queue::active, Queue::incoming, Queue::deferred,
                                  Queue::hold};

constexpr std::size_t parts_at_once = 8; // each in a thread of the pool
constexpr std::size_t part_files = 64;
constexpr std::size_t part_bytes = 256 * 1024; // of encoded answers; then the reader gets them

} // namespace

// Some files of a queue, and the frames of those that are read, ready to be sent.
struct Showq::Part {
    std::vector<QueueEntry> files;
    std::size_t next = 0;
    std::string frames;

    bool is_over() const { return next == files.size(); }
};

// What is read at a time, its parts side by side.
struct Showq::Batch {
    std::array<Part, parts_at_once> parts;
    Result<> scanned;

    bool is_empty() const { return parts.front().files.empty(); }
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

// While files are read, those before them are sent and the names of the next ones looked for.
Task<Result<>> Showq::list_queue(Stream& stream, Queue queue, ipc::ShowOptions options)
{
    const auto open_scan = [&] { return QueueScan::open(*spool_, queue, {.with_info = false}); };
    auto scan = co_await offload(open_scan);
    if (!scan && scan.error().fault == Fault::not_found)
        co_return Result<>();
    if (!scan)
        co_return scan.error();
    Batch read;
    Batch reading;
    co_await find_files(&*scan, &reading);
    while (!read.is_empty() || !reading.is_empty()) {
        Batch following;
        Scope work;
        for (Part& part : reading.parts)
            work.spawn(read_part, this, queue, &part, options);
        if (!reading.is_empty())
            work.spawn(find_files, &*scan, &following);
        const auto sent = co_await send(stream, queue, read, options);
        co_await work.empty();
        CO_TRY_VOID(sent);
        CO_TRY_VOID(reading.scanned);
        read = std::move(reading);
        reading = std::move(following);
    }
    co_return reading.scanned;
}

Task<Result<>> Showq::send(Stream& stream, Queue queue, Batch& batch, ipc::ShowOptions options)
{
    for (Part& part : batch.parts) {
        stream.write(part.frames);
        while (!part.is_over()) { // its frames were too many at once
            CO_TRY_VOID(co_await stream.flush());
            co_await read_part(this, queue, &part, options);
            stream.write(part.frames);
        }
    }
    co_return co_await stream.flush();
}

Task<> Showq::find_files(QueueScan* scan, Batch* batch)
{
    const auto find = [&]() -> Result<> {
        for (Part& part : batch->parts) {
            TRY(part.files, scan->slice(part_files));
        }
        return {};
    };
    batch->scanned = co_await offload(find);
}

Task<> Showq::read_part(Showq* self, Queue queue, Part* part, ipc::ShowOptions options)
{
    const auto read = [&] {
        part->frames.clear();
        while (!part->is_over() && part->frames.size() < part_bytes)
            self->read_file(queue, part->files[part->next++], options, part->frames);
    };
    co_await offload(read);
}

// On a thread of the pool.
void Showq::read_file(Queue queue, const QueueEntry& entry, const ipc::ShowOptions& options,
                      std::string& frames) const
{
    const auto file = open_queue_file(*spool_, entry.path);
    if (!file || !file->info.is_ready())
        return; // gone, or still being written
    const auto shown = read_shown_message(*spool_, queue, entry.id, *file, options);
    if (shown) // else it is damaged: qmgr will say so
        encode(*shown).encode(frames);
}

} // namespace bulkhead
