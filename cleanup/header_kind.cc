#include "header_kind.h"

#include "base/text.h"

namespace bulkhead
{

HeaderKind header_kind(std::string_view name)
{
    struct Row {
        std::string_view name;
        HeaderKind kind;
    };
    static constexpr Row rows[] = {
        {"received", HeaderKind::received},
        {"delivered-to", HeaderKind::delivered_to},
        {"message-id", HeaderKind::message_id},
        {"resent-message-id", HeaderKind::resent_message_id},
        {"date", HeaderKind::date},
        {"resent-date", HeaderKind::resent_date},
        {"from", HeaderKind::from},
        {"resent-from", HeaderKind::resent_from},
        {"sender", HeaderKind::sender},
        {"reply-to", HeaderKind::sender},
        {"errors-to", HeaderKind::sender},
        {"return-receipt-to", HeaderKind::sender},
        {"disposition-notification-to", HeaderKind::sender},
        {"mail-followup-to", HeaderKind::sender},
        {"resent-sender", HeaderKind::sender},
        {"resent-reply-to", HeaderKind::sender},
        {"to", HeaderKind::recipient},
        {"cc", HeaderKind::recipient},
        {"apparently-to", HeaderKind::recipient},
        {"bcc", HeaderKind::blind_recipient},
        {"resent-to", HeaderKind::resent_recipient},
        {"resent-cc", HeaderKind::resent_recipient},
        {"resent-bcc", HeaderKind::resent_recipient},
        {"content-transfer-encoding", HeaderKind::content_transfer_encoding},
    };
    for (const Row& row : rows)
        if (row.name.size() == name.size() && equals_ignoring_case(row.name, name))
            return row.kind;
    return HeaderKind::other;
}

} // namespace bulkhead
