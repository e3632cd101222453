#include "delivery/act_as.h"

#include <sys/fsuid.h>

#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// These calls tell the value before, not whether they worked; an id that nobody can
// have asks without changing.
uid_t present_uid()
{
    return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1)));
}
gid_t present_gid()
{
    return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)));
}

// The group first: a user other than root could not change it any more.
bool switch_to(const MailboxOwner& who)
{
    ::setfsgid(who.gid);
    ::setfsuid(who.uid);
    return present_gid() == who.gid && present_uid() == who.uid;
}

} // namespace

Result<ActAs> ActAs::become(const MailboxOwner& owner)
{
    ActAs identity(MailboxOwner{present_uid(), present_gid()});
    if (!switch_to(owner))
        return Error{Fault::refused, fmt::format("cannot act as user {} group {}", owner.uid, owner.gid)};
    return identity;
}

ActAs::ActAs(ActAs&& other) noexcept : before_(other.before_), active_(std::exchange(other.active_, false)) {}

ActAs::~ActAs()
{
    if (active_)
        ensure(switch_to(before_), "a thread gets its own identity back");
}

} // namespace bulkhead
