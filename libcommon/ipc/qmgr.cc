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

Message encode(const QueueLogged& logged)
{
    Message message(Kind::queue_logged);
    message.add("again", std::int64_t{logged.again}).add("instance", logged.instance);
    for (const LogPlace& place : logged.places)
        message.add("place", to_text(place));
    return message;
}

Result<QueueLogged> decode_queue_logged(const Message& message)
{
    QueueLogged logged;
    TRY(const auto again, message.number("again"));
    logged.again = again != 0;
    TRY(logged.instance, message.number("instance"));
    Message::Walk walk = message.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name != "place")
            continue;
        TRY(LogPlace place, parse_log_place(attribute->value));
        logged.places.push_back(std::move(place));
    }
    return logged;
}

Message encode(const QueueTaken& taken)
{
    Message answer(Kind::ok);
    answer.add("instance", taken.instance).add("behind", std::int64_t{taken.is_behind});
    return answer;
}

Result<QueueTaken> decode_queue_taken(const Message& answer)
{
    if (answer.kind() != Kind::ok)
        return Error{Fault::refused, "it is leaving"};
    TRY(const auto instance, answer.number("instance"));
    TRY(const auto behind, answer.number("behind"));
    return QueueTaken{instance, behind != 0};
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
