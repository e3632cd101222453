// Where a session is counted (smtpd_client_*_limit), and what a client is told that does
// too much.
#include "session.h"

#include "client_limits.h"

#include "log/log.h"

#include <fmt/format.h>

namespace bulkhead
{

// Counts the event.  True: the client has done too much of it.
Task<bool> SmtpSession::does_too_much(ipc::ClientEvent event)
{
    if (!counted_)
        co_return false;
    const auto excess = co_await service_.limits->count(event, peer_);
    if (!excess)
        co_return false;
    log::warn(fmt::format("{} limit exceeded: {} from {} for service {}", excess->name, excess->count,
                          peer_.label(), service_.limits->service()));
    co_return true;
}

Reply SmtpSession::turned_away(std::string_view what) const
{
    return Reply(421, "4.7.0",
                 fmt::format("{} Error: too many {} from {}", service_.myhostname, what, peer_.address));
}

// True: this client has too many connections.
Task<bool> SmtpSession::begin_counting()
{
    if (service_.standalone || service_.limits == nullptr)
        co_return false;
    counted_ = co_await service_.limits->applies_to(peer_);
    co_return co_await does_too_much(ipc::ClientEvent::connect);
}

Task<> SmtpSession::end_counting()
{
    if (counted_)
        (void)co_await service_.limits->count(ipc::ClientEvent::disconnect, peer_);
}

} // namespace bulkhead
