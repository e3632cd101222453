// Delivery into a Maildir: written in tmp/, on disk, then moved into new/ under a
// name that nobody else makes.
#pragma once

#include "delivery/mailbox_path.h"
#include "delivery/message_copy.h"

namespace bulkhead
{

struct MaildirOptions {
    std::string host;             // last part of file names
    std::int64_t room = 0;        // bytes of one message
    bool strict_ownership = true; // tmp and new must be the owner's
};

// The name of the new file.  Call it as the owner.
Result<std::string> deliver_to_maildir(const MailboxPath& path, const MailboxOwner& owner,
                                       const MessageCopy& message, const MaildirOptions& options);

} // namespace bulkhead
