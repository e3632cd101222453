// The headers that cleanup knows by name, and what it does with them.
#pragma once

#include <string_view>

namespace bulkhead
{

enum class HeaderKind : unsigned char {
    other,
    received,
    delivered_to,
    message_id,
    resent_message_id,
    date,
    resent_date,
    from,
    resent_from,
    sender,           // more headers with addresses of senders
    recipient,        // To: and Cc:
    resent_recipient, // Resent-To: and so on
    blind_recipient,  // Bcc:, which a message is not without recipients with
    content_transfer_encoding,
};

// name without the colon, any case.
HeaderKind header_kind(std::string_view name);

constexpr bool has_sender_addresses(HeaderKind kind)
{
    return kind == HeaderKind::from || kind == HeaderKind::resent_from || kind == HeaderKind::sender;
}
constexpr bool has_recipient_addresses(HeaderKind kind)
{
    return kind == HeaderKind::recipient || kind == HeaderKind::resent_recipient ||
           kind == HeaderKind::blind_recipient;
}

} // namespace bulkhead
