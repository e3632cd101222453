#include "ipc/qmgr.h"

namespace bulkhead::ipc
{

Message encode_queue_arrival(std::string_view queue_id)
{
    Message message(Kind::queue_arrival);
    message.add("queue_id", queue_id);
    return message;
}

Result<std::string> decode_queue_arrival(const Message& message)
{
    TRY(const auto id, message.text("queue_id"));
    return std::string(id);
}

Message encode(const QueueFlush& request)
{
    Message message(Kind::queue_flush);
    message.add("queue_id", request.queue_id).add("destination", request.destination);
    return message;
}

Result<QueueFlush> decode_queue_flush(const Message& message)
{
    TRY(const auto id, message.text("queue_id"));
    TRY(const auto destination, message.text("destination"));
    return QueueFlush{std::string(id), std::string(destination)};
}

} // namespace bulkhead::ipc
