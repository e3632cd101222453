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

constexpr std::size_t slice_files = 100;
constexpr std::size_t slice_bytes = 256 * 1024; // of encoded answers; then the reader gets them

// One trip to the pool: the frames of some files, ready to be sent.
struct Slice {
    std::string frames;
    bool at_end = false;
};

Result<Slice> next_slice(const Spool& spool, Queue queue, QueueScan& scan, const ipc::ShowOptions& options)
{
    Slice slice;
    for (std::size_t i = 0; i < slice_files && slice.frames.size() < slice_bytes; ++i) {
        TRY(const auto entry, scan.next());
        if (!entry) {
            slice.at_end = true;
            break;
        }
        if (!entry->info.is_ready())
            continue; // still being written
        const auto file = open_queue_file(spool, entry->path);
        const auto shown = file ? read_shown_message(spool, queue, entry->id, *file, options)
                                : Result<ipc::ShownMessage>(file.error());
        if (shown) // else it is gone, or damaged: qmgr will say so
            encode(*shown).encode(slice.frames);
    }
    return slice;
}

} // namespace

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

Task<Result<>> Showq::list_queue(Stream& stream, Queue queue, ipc::ShowOptions options)
{
    const auto open_scan = [&] { return QueueScan::open(*spool_, queue); };
    auto scan = co_await offload(open_scan);
    if (!scan && scan.error().fault == Fault::not_found)
        co_return Result<>();
    if (!scan)
        co_return scan.error();
    const auto read_slice = [&] { return next_slice(*spool_, queue, *scan, options); };
    for (;;) {
        CO_TRY(const Slice slice, co_await offload(read_slice));
        stream.write(slice.frames);
        CO_TRY_VOID(co_await stream.flush());
        if (slice.at_end)
            co_return Result<>();
    }
}

} // namespace bulkhead
