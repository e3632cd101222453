// Messages of the commit log (docs/commit-log.md): told by cleanup, delivered from where they
// are, and given a file as soon as they need one or have been here for a while.
#include "qmgr.h"

#include "async/offload.h"
#include "async/wait.h"
#include "log/log.h"

#include <fmt/format.h>
#include <unistd.h>

namespace bulkhead
{

namespace
{
constexpr Milliseconds logged_look{500};
constexpr Milliseconds logged_patience{1000}; // then mailq shall show it
constexpr Milliseconds filing_pause{5000};    // until a file that could not be made is tried again
} // namespace

// A message of the log gets a file in `target`.  Fault::not_found: somebody else is writing it,
// or it needs none any more.
static Result<> make_file(const Spool& spool, LogStates& states, const LogPlace& place, Queue target)
{
    auto filed = file_away(spool, states, place, target);
    if (filed || filed.error().fault != Fault::not_found)
        return filed;
    if (states.of(place.slot, place.serial) == LogState::alive) {
        // Whoever took its name has died over it, or has found the disk full.
        TRY(std::string image, read_log_image(spool, states, place));
        const LeftLog::Message message{place, std::move(image), true};
        TRY(const bool restored, restore_logged(spool, states, message, target));
        return restored ? Result<>() : filed;
    }
    // A cleanup process that left while it told us of it.
    return target == Queue::active ? move_queue_file(spool, Queue::incoming, Queue::active, place.id) : filed;
}

std::shared_ptr<LogStates> Qmgr::states_of(const std::string& owner)
{
    auto& known = log_states_[owner];
    auto states = known.lock();
    if (!states) {
        auto opened = LogStates::open(*spool_, owner);
        if (!opened) {
            log_states_.erase(owner);
            return nullptr;
        }
        std::erase_if(log_states_, [](const auto& entry) { return entry.second.expired(); });
        states = std::make_shared<LogStates>(*std::move(opened));
        log_states_[owner] = states;
    }
    last_states_ = states; // stays mapped while its owner is at work
    return states;
}

void Qmgr::take_logged(ipc::QueueLogged logged)
{
    const SteadyTime now = SteadyClock::now();
    for (LogPlace& place : logged.places) {
        if (logged_.contains(place.id.text()) || active_.contains(place.id.text()))
            continue;
        auto states = states_of(place.owner);
        if (!states || states->of(place.slot, place.serial) != LogState::alive)
            continue;
        if (logged.again || !keep_arrival(place.id))
            scope_.spawn(file_one, this, place);
        std::string id = place.id.text();
        logged_.emplace(std::move(id), Logged{std::move(place), std::move(states), now});
    }
    if (!logged_timer_.running() && !logged_.empty())
        logged_timer_.start(logged_look);
    take_arrivals();
}

Claim Qmgr::claim_from_log(const QueueId& id)
{
    const Logged& logged = logged_.at(id.text());
    Claim claim = claim_logged(*spool_, last_segment_, *logged.states, logged.place, first_batch());
    if (claim.state == ClaimState::claimed && !claim.envelope.next)
        return claim;
    // More recipients than fit into memory, or damage: as a file it is looked at again.
    if (claim.state == ClaimState::gone) {
        leave_log(id);
        overflow_ = true;
    } else {
        if (!claim.reason.empty())
            log::warn(fmt::format("{}: {}", id.text(), claim.reason));
        scope_.spawn(file_one, this, logged.place);
    }
    claim = Claim();
    claim.state = ClaimState::gone;
    return claim;
}

// One that is not active: scans find its file.
Task<> Qmgr::file_one(Qmgr* self, LogPlace place)
{
    const std::string id = place.id.text();
    const auto states = self->states_of(place.owner);
    if (states) {
        const auto file = [self, &states, &place] {
            return make_file(*self->spool_, *states, place, Queue::incoming);
        };
        const auto filed = co_await offload(file);
        if (!filed && filed.error().fault != Fault::not_found)
            log::warn(fmt::format("{}: {}", id, filed.error().context));
    }
    if (!self->active_.contains(id))
        self->leave_log(place.id);
    self->overflow_ = true; // after_change() starts the scan when there is room
    self->after_change();
}

// Beside its deliveries: those go on with what they have opened.
Task<> Qmgr::file_active(Qmgr* self, ActiveMessage* pointer)
{
    ActiveMessage& message = *pointer;
    const Logged logged = self->logged_.at(message.id.text());
    const auto file = [self, &logged] {
        return make_file(*self->spool_, *logged.states, logged.place, Queue::active);
    };
    const auto filed = co_await offload(file);
    if (filed)
        message.in_log = false;
    else
        log::error(fmt::format("{}: cannot get a file: {}", message.id.text(), filed.error().context));
    message.filing = false;
    self->filed_.notify_all();
}

// Returns when the message has a file.
Task<> Qmgr::need_file(ActiveMessage& message)
{
    while (message.in_log || message.filing) {
        if (!message.filing) {
            message.filing = true;
            scope_.spawn(file_active, this, &message);
        }
        while (message.filing)
            co_await filed_.wait();
        if (message.in_log)
            co_await sleep_for(filing_pause);
    }
}

void Qmgr::look_after_logged()
{
    const SteadyTime limit = SteadyClock::now() - logged_patience;
    std::vector<LogPlace> waiting; // for room, or nobody has it
    for (auto& [id, logged] : logged_) {
        if (logged.since > limit || claiming_.contains(id))
            continue;
        const auto active = active_.find(id);
        if (active == active_.end()) {
            waiting.push_back(logged.place);
            continue;
        }
        ActiveMessage& message = **active;
        if (!message.in_log || message.filing)
            continue;
        message.filing = true;
        scope_.spawn(file_active, this, &message);
    }
    for (LogPlace& place : waiting)
        scope_.spawn(file_one, this, std::move(place));
    if (!logged_.empty())
        logged_timer_.start(logged_look);
}

// We are done with it, or it has a file of its own.  One that was not ours may still be read
// by an agent of the queue manager before us: it stays as it is.
void Qmgr::leave_log(const QueueId& id)
{
    const auto found = logged_.find(id.text());
    if (found == logged_.end())
        return;
    const LogPlace& place = found->second.place;
    LogStates& states = *found->second.states;
    const LogState state = states.of(place.slot, place.serial);
    const auto active = active_.find(id.text());
    if (state == LogState::filed && active != active_.end())
        states.set(place.slot, place.serial, LogState::settled);
    else if (state == LogState::alive && active != active_.end() && (*active)->in_log)
        states.set(place.slot, place.serial, LogState::gone);
    logged_.erase(found);
}

// Before we leave: the next queue manager knows files only.
void Qmgr::file_all()
{
    for (auto& [id, logged] : logged_) {
        const auto active = active_.find(id);
        if (active != active_.end() && (*active)->filing) {
            // A thread is about it, and ends with this process.
            for (int i = 0;
                 i < 2000 && logged.states->of(logged.place.slot, logged.place.serial) == LogState::alive;
                 ++i)
                ::usleep(1000);
            continue;
        }
        const Queue target = active == active_.end() ? Queue::incoming : Queue::active;
        const auto filed = file_away(*spool_, *logged.states, logged.place, target);
        if (filed && active != active_.end())
            (*active)->in_log = false;
        if (!filed && filed.error().fault != Fault::not_found)
            log::warn(fmt::format("{}: stays in the commit log: {}", id, filed.error().context));
    }
}

// A cleanup process that has died cannot tell us again what is in its log.
Task<> Qmgr::read_left_logs(Qmgr* self)
{
    self->reading_left_logs_ = true;
    const auto find = [self] { return LeftLog::find(*self->spool_); };
    auto logs = co_await offload(find);
    for (LeftLog& left : logs) {
        const auto read = [&left] { return left.messages(); };
        auto messages = co_await offload(read);
        if (!messages) {
            log::warn("commit log: " + messages.error().context);
            continue;
        }
        std::size_t kept = 0;
        for (const LeftLog::Message& message : *messages) {
            if (left.states()->of(message.place.slot, message.place.serial) != LogState::alive)
                continue; // delivered, or filed, since it was read
            if (self->logged_.contains(message.place.id.text())) {
                ++kept; // we are delivering it; it gets a file soon
                continue;
            }
            self->logged_.emplace(
                message.place.id.text(), // or an announcement that comes late would be believed
                Logged{message.place, left.states(), SteadyClock::now()});
            const auto restore = [&left, &message] { return left.restore(message); };
            const auto restored = co_await offload(restore);
            self->leave_log(message.place.id);
            if (!restored)
                log::warn(fmt::format("{}: {}", message.place.id.text(), restored.error().context));
            else if (*restored)
                log::info(message.place.id.text() + ": recovered from the commit log");
            kept += !restored || !*restored;
            self->overflow_ = true;
        }
        const auto remove = [&left] { left.remove(); };
        if (kept == 0)
            co_await offload(remove);
        else if (!self->busy_timer_.running() && !self->is_draining())
            self->busy_timer_.start(Milliseconds(1000));
    }
    self->reading_left_logs_ = false;
    if (self->recovered_)
        self->after_change();
}

} // namespace bulkhead
