#include "spool/store.h"

#include "spool/moves.h"

namespace bulkhead
{

Result<QueueId> Store::finish(NewQueueFile file, std::span<const std::string_view> pieces)
{
    TRY_VOID(file.append(pieces));
    return std::move(file).commit();
}

Result<QueueId> DirectoryStore::put(Queue queue, std::span<const std::string_view> pieces)
{
    TRY(NewQueueFile file, reserve(queue));
    return finish(std::move(file), pieces);
}

Result<NewQueueFile> DirectoryStore::reserve(Queue queue)
{
    return NewQueueFile::create(spool_, queue, options_);
}

Result<OpenQueueFile> DirectoryStore::open(Queue queue, const QueueId& id, Access access)
{
    return open_queue_file(spool_, queue, id, access);
}

Result<> DirectoryStore::remove(Queue queue, const QueueId& id)
{
    return remove_queue_file(spool_, queue, id);
}

} // namespace bulkhead
