#include "spool/rehash.h"

#include "spool/io.h"
#include "spool/scan.h"

namespace bulkhead
{

// The id in "deferred/A/ID<mark>"; empty if there is none.
static QueueId marked_id(std::string_view path, std::string_view mark)
{
    const std::string_view name = path.substr(path.rfind('/') + 1);
    if (mark.empty() || !name.ends_with(mark))
        return {};
    auto id = QueueId::parse(name.substr(0, name.size() - mark.size()));
    return id ? *std::move(id) : QueueId();
}

Result<std::size_t> rehash_queue(const Spool& spool, Queue queue,
                                 const std::function<void(const Error&)>& complain, std::string_view mark)
{
    ScanOptions options;
    options.with_info = false;
    options.foreign_names = !mark.empty();
    auto scan = QueueScan::open(spool, queue, options);
    if (!scan && scan.error().fault == Fault::not_found)
        return std::size_t{0};
    if (!scan)
        return scan.error();
    for (std::size_t moved = 0;;) {
        TRY(const auto entry, scan->next());
        if (!entry)
            return moved;
        const QueueId id = entry->id.empty() ? marked_id(entry->path, mark) : entry->id;
        if (id.empty())
            continue;
        const std::string place = spool.path_of(queue, id);
        if (place == entry->path)
            continue;
        const auto done = rename_in_spool(spool, entry->path, place);
        if (done)
            ++moved;
        else if (done.error().fault != Fault::not_found)
            complain(done.error());
    }
}

} // namespace bulkhead
