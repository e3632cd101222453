// A message with more recipients than fit into memory goes on with the next ones while the
// first are still being delivered.
#include "qmgr.h"

#include "async/offload.h"
#include "log/log.h"
#include "spool/queue_file.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{
constexpr std::size_t most_at_once = 5000;
}

// What the limit over all messages leaves.
std::size_t Qmgr::free_recipients() const
{
    const auto limit = static_cast<std::size_t>(std::max(params_.recipient_limit(), params_.active_limit()));
    return limit - std::min(limit, recipients_in_memory_);
}

std::size_t Qmgr::first_batch() const
{
    const auto minimum = static_cast<std::size_t>(params_.recipient_minimum());
    return std::min(std::max(free_recipients(), minimum), most_at_once);
}

std::size_t Qmgr::next_batch(const ActiveMessage& message) const
{
    const auto minimum = static_cast<std::size_t>(params_.recipient_minimum());
    return std::min(scheduler_.room_for(message, message.outstanding, free_recipients(), minimum),
                    most_at_once);
}

bool Qmgr::wants_refill(const ActiveMessage& message) const
{
    if (!message.unread || is_draining())
        return false;
    if (message.outstanding == 0)
        return true;
    const auto [worth, delay] = scheduler_.refill_of(message);
    const std::size_t room = next_batch(message);
    return room >= worth || (room > 0 && SteadyClock::now() >= message.unread->last_read + delay);
}

// False: there is no room, or nothing left to read.
bool Qmgr::start_refill(ActiveMessage& message)
{
    if (!wants_refill(message))
        return false;
    message.refilling = true;
    scope_.spawn(refill, this, &message);
    return true;
}

// Deliveries that hang give no other occasion.  Only reads on: a message without anything
// outstanding may already be on its way out.
void Qmgr::refill_all()
{
    const std::vector<ActiveMessage*> messages(partly_read_.begin(), partly_read_.end());
    for (ActiveMessage* const message : messages)
        if (!message->refilling)
            (void)start_refill(*message);
    if (!partly_read_.empty())
        refill_timer_.start(Seconds(1));
}

Task<> Qmgr::refill(Qmgr* self, ActiveMessage* pointer)
{
    ActiveMessage& message = *pointer;
    const std::size_t wanted = std::max<std::size_t>(self->next_batch(message), 1);
    const auto read = [self, &message, wanted]() -> Result<RecipientBatch> {
        TRY(const OpenQueueFile file, open_queue_file(*self->spool_, Queue::active, message.id));
        return read_recipients(file.fd.get(), message.unread->sizes, message.unread->next, wanted);
    };
    auto batch = co_await offload(read);
    if (batch) {
        UnreadRecipients& unread = *message.unread;
        unread.last_read = SteadyClock::now();
        unread.next = batch->next;
        unread.count -= std::min(unread.count, batch->recipients.size());
        if (!unread.next)
            message.unread.reset();
        co_await self->route(message, std::move(batch->recipients));
    } else {
        log::warn(fmt::format("{}: {}", message.id.text(), batch.error().context));
        message.unread.reset();
        ++message.deferred; // they are left
    }
    if (!message.unread)
        self->partly_read_.erase(&message);
    message.refilling = false;
    self->go_on(message);
}

} // namespace bulkhead
