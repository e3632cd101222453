// One pool thread, for the time of one piece of work, as the owner of a mailbox:
// what he may not do, an agent cannot be talked into doing for him.
#pragma once

#include "base/result.h"

#include <sys/types.h>

namespace bulkhead
{

struct MailboxOwner {
    uid_t uid = 0;
    gid_t gid = 0;
};

class ActAs
{
public:
    // Fault::refused when the kernel did not let this thread become him.  Not to be
    // held across an await: the identity is the thread's.
    static Result<ActAs> become(const MailboxOwner& owner);

    ActAs(ActAs&& other) noexcept;
    ActAs& operator=(ActAs&&) = delete;
    ~ActAs(); // takes the old identity back, or ends the process

private:
    ActAs(const MailboxOwner& before) : before_(before) {}

    MailboxOwner before_;
    bool active_ = true;
};

} // namespace bulkhead
