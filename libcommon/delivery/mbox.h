// Delivery into a mailbox file: locked, appended, on disk; cut back to what it was
// when anything fails.
#pragma once

#include "delivery/mailbox_path.h"
#include "delivery/message_copy.h"

#include "base/clock.h"

#include <span>
#include <string>

namespace bulkhead
{

struct MboxLocks {
    bool dotlock = false;
    bool fcntl = false;
    bool flock = false;

    // Fault::config for a name that is no kind of lock.
    static Result<MboxLocks> parse(std::span<const std::string> names);
};

struct MboxOptions {
    MboxLocks locks;
    Seconds stale_lock{500};
    std::int64_t limit = 0; // bytes of the whole file
    bool strict_ownership = true;
};

// Call it as the owner.  Somebody else has it locked: Fault::timeout, try again later.
// Never waits.
Result<> deliver_to_mbox(const MailboxPath& path, const MailboxOwner& owner, const MessageCopy& message,
                         const MboxOptions& options);

} // namespace bulkhead
