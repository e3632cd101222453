#include "scheduler.h"

#include "active_message.h"
#include "base/text.h"

#include <algorithm>

namespace bulkhead
{

void ProvenNames::add(const std::string& name)
{
    constexpr std::size_t generation = 4096;
    if (recent_.size() >= generation)
        older_ = std::exchange(recent_, {});
    recent_.insert(name);
}

void ProvenNames::remove(const std::string& name)
{
    recent_.erase(name);
    older_.erase(name);
}

EntryQueue::~EntryQueue()
{
    while (!empty()) // one by one: each would end the next within its own end
        pop();
}

void EntryQueue::push(std::unique_ptr<Entry> entry)
{
    Entry* const pushed = entry.get();
    (first_ ? last_->next : first_) = std::move(entry);
    last_ = pushed;
}

std::unique_ptr<Entry> EntryQueue::pop()
{
    std::unique_ptr<Entry> entry = std::move(first_);
    first_ = std::move(entry->next);
    return entry;
}

void Job::link(Peer& peer)
{
    peer.next = first_peer;
    if (first_peer != nullptr)
        first_peer->previous = &peer;
    first_peer = &peer;
}

void Job::unlink(Peer& peer)
{
    (peer.previous != nullptr ? peer.previous->next : first_peer) = peer.next;
    if (peer.next != nullptr)
        peer.next->previous = peer.previous;
}

// ---- the parts --------------------------------------------------------------------

TransportState& Scheduler::transport(const std::string& name)
{
    auto& slot = transports_[name];
    if (!slot) {
        slot = std::make_unique<TransportState>();
        slot->name = name;
        slot->limits = limits_of_(name);
        slot->extra_left = slot->limits.extra_recipients;
    }
    return *slot;
}

// The window of a destination that nothing is known about.
static int initial_window(const TransportLimits& limits)
{
    const int limit = limits.window_limit();
    return limit > 0 ? std::min(limits.initial, limit) : limits.initial;
}

Destination& Scheduler::destination(TransportState& of, const RoutedRecipient& routed)
{
    std::string name = lower(routed.queue.empty() ? routed.nexthop : routed.queue);
    auto found = of.destinations.find(name);
    if (found == of.destinations.end()) {
        auto fresh = std::make_unique<Destination>();
        fresh->transport = &of;
        fresh->nexthop = routed.nexthop;
        fresh->name = name;
        fresh->window = initial_window(of.limits);
        fresh->is_proven = of.limits.cohorts == 0 || of.proven.has(name); // 0: the agent itself answers
        found = of.destinations.emplace(std::move(name), std::move(fresh)).first;
    }
    return *found->second;
}

const Destination* Scheduler::find(const std::string& transport_name, const std::string& queue) const
{
    const auto found = transports_.find(transport_name);
    if (found == transports_.end())
        return nullptr;
    const auto slot = found->second->destinations.find(lower(queue));
    return slot == found->second->destinations.end() ? nullptr : slot->second.get();
}

Job& Scheduler::job(ActiveMessage& message, TransportState& via, Moment now)
{
    constexpr Place step = Place{1} << 32; // room for those that preempt
    const auto found = std::ranges::find(message.jobs, &via, &Job::transport);
    if (found != message.jobs.end())
        return *found;
    Job& fresh = message.jobs.emplace_front();
    fresh.message = &message;
    fresh.transport = &via;
    fresh.queued = now;
    fresh.home = fresh.place = via.last_place += step;
    return fresh;
}

// ---- work comes in ----------------------------------------------------------------

void Scheduler::add(ActiveMessage& message, std::vector<RoutedRecipient> recipients, std::size_t unread,
                    Moment now)
{
    // Recipients of one destination follow one another: entries fill up.
    std::ranges::sort(recipients, [](const RoutedRecipient& a, const RoutedRecipient& b) {
        return std::tie(a.transport, a.queue, a.nexthop, a.recipient.offset) <
               std::tie(b.transport, b.queue, b.nexthop, b.recipient.offset);
    });
    Job* current = nullptr;
    for (const RoutedRecipient& routed : recipients) {
        TransportState& via = transport(routed.transport);
        Destination& to = destination(via, routed);
        if (current == nullptr || current->transport != &via)
            current = &job(message, via, now);
        add_to_entry(*current, to, routed.recipient);
        refresh(to, now);
    }
    for (Job& job : message.jobs)
        job.unread = static_cast<std::uint32_t>(unread);
}

void Scheduler::add_to_entry(Job& job, Destination& to, const ipc::DeliveryRecipient& recipient)
{
    TransportState& via = *job.transport;
    if (job.waiting == 0)
        enlist(job);
    Peer& peer = to.peers[job.place];
    if (peer.job == nullptr) {
        peer.job = &job;
        peer.destination = &to;
        job.link(peer);
    }
    const auto limit =
        job.message->one_by_one ? std::size_t{1} : static_cast<std::size_t>(via.limits.recipients);
    if (peer.entries.empty() || (limit > 0 && peer.entries.back().recipients.size() >= limit)) {
        auto entry = std::make_unique<Entry>();
        entry->message = job.message;
        entry->job = &job;
        entry->destination = &to;
        peer.entries.push(std::move(entry));
        ++to.todo;
        ++job.waiting;
        ++job.read;
        ++waiting_;
    }
    peer.entries.back().recipients.add(recipient);
    ++via.recipients;
}

// ---- who is ready -----------------------------------------------------------------

// Puts a destination into its transport's ready list, or takes it out.
void Scheduler::refresh(Destination& to, Moment now)
{
    if (to.window == 0 && to.dead_until <= now) { // the rest is over: begin anew
        to.window = to.busy > 0 ? to.busy : initial_window(to.transport->limits);
        to.success = to.failure = to.failed_cohorts = 0;
        to.dead_reason.clear();
    }
    rest(to, now);
    unready(to);
    if (to.todo == 0 || to.window <= to.busy || to.not_before > now)
        return;
    to.ready_as = to.is_proven ? Standing::proven : to.busy == 0 ? Standing::untried : Standing::on_trial;
    to.ready_at = {to.peers.begin()->first, to.turn};
    to.transport->ready_list(to).emplace(to.ready_at, &to);
    to.is_ready = true;
    serve(*to.transport);
}

// Keeps the list of those that wait for a time.
void Scheduler::rest(Destination& to, Moment now)
{
    const Moment until = std::max(to.window == 0 ? to.dead_until : 0, to.not_before);
    const Moment wanted = until > now ? until : 0;
    if (wanted == to.resting_until)
        return;
    if (to.resting_until > 0)
        resting_.erase({to.resting_until, &to});
    if (wanted > 0)
        resting_.emplace(wanted, &to);
    to.resting_until = wanted;
}

void Scheduler::serve(TransportState& via)
{
    if (via.is_serving)
        return;
    serving_.push_back(&via);
    via.is_serving = true;
}

void Scheduler::unready(Destination& to)
{
    if (!to.is_ready)
        return;
    to.transport->ready_list(to).erase({to.ready_at, &to});
    to.is_ready = false;
}

bool Scheduler::has_capacity_for(Standing standing) const
{
    switch (standing) {
    case Standing::proven:
        return true;
    case Standing::untried:
        return trials_ < std::max<std::size_t>(capacity_ / 4 * 3, 1);
    case Standing::on_trial:
        return trials_ < capacity_ / 4;
    }
    return false;
}

Destination* Scheduler::first_ready(const TransportState& via) const
{
    const ReadyList::value_type* first = nullptr;
    for (const Standing standing : {Standing::proven, Standing::untried, Standing::on_trial}) {
        const ReadyList& list = via.ready[static_cast<std::size_t>(standing)];
        if (!list.empty() && has_capacity_for(standing) &&
            (first == nullptr || list.begin()->first < first->first))
            first = &*list.begin();
    }
    return first != nullptr ? first->second : nullptr;
}

// ---- work goes out ----------------------------------------------------------------

std::unique_ptr<Entry> Scheduler::next(Moment now)
{
    for (std::size_t turns = serving_.size(); turns > 0; --turns) {
        TransportState& via = *serving_.front();
        serving_.pop_front();
        if (!via.has_ready() || via.rests_until() > now) {
            via.is_serving = false;
            continue;
        }
        serving_.push_back(&via); // the transports take turns
        const Destination* const first = first_ready(via);
        if (first == nullptr)
            continue;
        preempt(via, *first->peers.begin()->second.job, now);
        return take(via, *first_ready(via), now);
    }
    return nullptr;
}

std::unique_ptr<Entry> Scheduler::take(TransportState& via, Destination& to, Moment now)
{
    const auto first = to.peers.begin();
    Job& job = *first->second.job;
    std::unique_ptr<Entry> entry = first->second.entries.pop();
    unready(to);
    entry->is_trial = !to.is_proven;
    trials_ += entry->is_trial;
    if (first->second.entries.empty()) {
        job.unlink(first->second);
        to.peers.erase(first);
    }
    --to.todo;
    --waiting_;
    ++to.busy;
    to.turn = ++via.turns;
    --job.waiting;
    ++job.selected;
    ++job.slots_available;
    ++job.slots_used;
    if (job.waiting == 0)
        retire(job);
    if (via.limits.destination_rate.is_per_start())
        to.not_before = std::max(to.not_before, now - via.limits.destination_rate.interval()) +
                        via.limits.destination_rate.interval();
    if (via.limits.transport_rate.is_limited())
        via.not_before = std::max(via.not_before, now - via.limits.transport_rate.interval()) +
                         via.limits.transport_rate.interval();
    refresh(to, now);
    return entry;
}

// ---- outcomes ---------------------------------------------------------------------

void Scheduler::release(Entry& entry, Moment now)
{
    Destination& to = *entry.destination;
    TransportState& via = *to.transport;
    --to.busy;
    trials_ -= entry.is_trial;
    via.recipients -= entry.recipients.size();
    if (via.limits.destination_rate.is_delay())
        to.not_before = now + via.limits.destination_rate.interval();
    refresh(to, now);
    forget_if_unused(to, now);
}

void Scheduler::forget_if_unused(Destination& to, Moment now)
{
    TransportState& via = *to.transport;
    // What is known of dead destinations is worth its memory, up to a point.
    const auto dead_limit = 2 * static_cast<std::size_t>(via.limits.recipients_in_memory);
    if (to.busy > 0 || to.todo > 0 || (to.window == 0 && resting_.size() <= dead_limit) ||
        to.not_before > now)
        return;
    unready(to);
    if (to.resting_until > 0)
        resting_.erase({to.resting_until, &to});
    if (to.is_proven && via.limits.cohorts > 0)
        via.proven.add(to.name);
    via.destinations.erase(via.destinations.find(to.name));
}

void Scheduler::delivered(std::unique_ptr<Entry> entry, Moment now)
{
    Destination& to = *entry->destination;
    const TransportLimits& limits = to.transport->limits;
    to.failed_cohorts = 0;
    to.is_proven = true;
    const int limit = limits.window_limit();
    if (to.window > 0 && (limit == 0 || to.window < limit) && to.window < to.busy + limits.initial) {
        const double feedback = limits.positive.at(to.window);
        to.success += feedback;
        while (to.success + feedback / 2 >= 1) {
            ++to.window;
            to.success -= 1;
            to.failure = 0;
        }
        if (limit > 0)
            to.window = std::min(to.window, limit);
    }
    release(*entry, now);
}

bool Scheduler::site_failed(std::unique_ptr<Entry> entry, const std::string& reason, Moment now, Seconds rest)
{
    Destination& to = *entry->destination;
    const TransportLimits& limits = to.transport->limits;
    if (limits.cohorts > 0 && to.is_proven) {
        to.is_proven = false;
        to.transport->proven.remove(to.name);
    }
    if (to.window > 0) {
        to.failed_cohorts += 1.0 / to.window;
        if (limits.cohorts > 0 && to.failed_cohorts >= limits.cohorts) {
            to.window = 0;
            to.dead_reason = reason;
            to.dead_until = now + std::chrono::microseconds(rest).count();
        } else {
            const double feedback = limits.negative.at(to.window);
            to.failure -= feedback;
            while (to.failure - feedback / 2 < 0) {
                --to.window;
                to.failure += 1;
                to.success = 0;
            }
            to.window = std::max(to.window, 1);
        }
    }
    const bool dead = to.window == 0;
    release(*entry, now);
    return dead;
}

void Scheduler::returned(std::unique_ptr<Entry> entry, Moment now)
{
    release(*entry, now);
}

// ---- trouble ----------------------------------------------------------------------

void Scheduler::suspend_transport(const std::string& name, Moment until)
{
    transport(name).dead_until = until;
}

bool Scheduler::is_suspended(const std::string& name, Moment now) const
{
    const auto found = transports_.find(name);
    return found != transports_.end() && found->second->dead_until > now;
}

std::string Scheduler::suspension(const std::string& transport_name, const std::string& queue,
                                  Moment now) const
{
    const Destination* const to = find(transport_name, queue);
    return to && to->window == 0 && to->dead_until > now ? to->dead_reason : std::string();
}

void Scheduler::take_waiting_of(Destination& to, std::vector<std::unique_ptr<Entry>>& taken)
{
    unready(to);
    for (auto& [place, peer] : to.peers) {
        Job& job = *peer.job;
        while (!peer.entries.empty()) {
            // The destination counts it as busy until the caller returns it.
            ++to.busy;
            ++job.selected;
            --job.waiting;
            taken.push_back(peer.entries.pop());
        }
        job.unlink(peer);
        if (job.waiting == 0)
            retire(job);
    }
    waiting_ -= to.todo;
    to.todo = 0;
    to.peers.clear();
}

std::vector<std::unique_ptr<Entry>> Scheduler::take_waiting(const std::string& transport_name,
                                                            const std::string* queue)
{
    std::vector<std::unique_ptr<Entry>> taken;
    const auto found = transports_.find(transport_name);
    if (found == transports_.end())
        return taken;
    auto& destinations = found->second->destinations;
    if (queue == nullptr) {
        for (auto& [name, to] : destinations)
            take_waiting_of(*to, taken);
    } else if (const auto to = destinations.find(lower(*queue)); to != destinations.end()) {
        take_waiting_of(*to->second, taken);
    }
    return taken;
}

void Scheduler::forget_failures()
{
    for (auto& [name, via] : transports_) {
        via->dead_until = 0;
        for (auto& [nexthop, to] : via->destinations)
            to->dead_until = 0;
    }
}

// ---- time -------------------------------------------------------------------------

void Scheduler::tick(Moment now)
{
    // Failures that were forgotten end before their time.
    std::vector<Destination*> over;
    for (const auto& [until, to] : resting_)
        if (until <= now || (to->window == 0 && to->dead_until <= now))
            over.push_back(to);
    for (Destination* const to : over) {
        refresh(*to, now);
        forget_if_unused(*to, now);
    }
    for (auto& [name, via] : transports_)
        if (via->has_ready() && via->rests_until() <= now)
            serve(*via);
}

Moment Scheduler::next_event(Moment now) const
{
    Moment earliest = resting_.empty() ? 0 : std::max(resting_.begin()->first, now + 1);
    for (const auto& [name, via] : transports_) {
        const Moment at = via->rests_until();
        if (at > now && via->has_ready() && (earliest == 0 || at < earliest))
            earliest = at;
    }
    return earliest;
}

} // namespace bulkhead
