#include "ipc/showq.h"

namespace bulkhead::ipc
{

Message encode(const ShownMessage& shown)
{
    Message m(Kind::show_message);
    m.add("queue_name", shown.queue_name).add("queue_id", shown.queue_id).add("sender", shown.sender);
    m.add("arrival_time", shown.arrival_time)
        .add("size", shown.size)
        .add("forced_expire", shown.forced_expire ? 1 : 0);
    m.add("message_id", shown.message_id);
    for (const ShownRecipient& recipient : shown.recipients)
        m.add("recipient", recipient.address).add("reason", recipient.reason);
    return m;
}

Result<ShownMessage> decode_shown_message(const Message& m)
{
    ShownMessage shown;
    TRY(const auto queue_name, m.text("queue_name"));
    TRY(const auto queue_id, m.text("queue_id"));
    TRY(const auto sender, m.text("sender"));
    TRY(const auto message_id, m.text("message_id"));
    TRY(shown.arrival_time, m.number("arrival_time"));
    TRY(shown.size, m.number("size"));
    TRY(const auto forced, m.number("forced_expire"));
    shown.queue_name = queue_name;
    shown.queue_id = queue_id;
    shown.sender = sender;
    shown.message_id = message_id;
    shown.forced_expire = forced != 0;
    Message::Walk walk = m.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name == "recipient")
            shown.recipients.push_back({std::string(attribute->value), {}});
        else if (attribute->name == "reason" && !shown.recipients.empty())
            shown.recipients.back().reason = attribute->value;
    }
    return shown;
}

} // namespace bulkhead::ipc
