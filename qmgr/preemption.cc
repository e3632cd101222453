// The list of a transport's jobs, and how a small job gets ahead of a big one.
//
// Every entry that a job is served gives it a slot.  slot_cost slots pay for one entry
// of another job that is let in before; so a job is delayed by a factor of at most
// 1 + 1/slot_cost.  Who was let in stands on who let it in, like plates on a stack.
#include "scheduler.h"

#include "active_message.h"

#include <algorithm>
#include <ranges>

namespace bulkhead
{

void Scheduler::enlist(Job& job)
{
    // Meanwhile another may have been let in there.
    for (job.place = job.home; !job.transport->jobs.emplace(job.place, &job).second;)
        ++job.place;
}

// Nothing of it waits any more: it leaves the list, and the stack.
void Scheduler::retire(Job& job)
{
    TransportState& via = *job.transport;
    via.jobs.erase(job.place);
    if (via.candidate == &job || via.candidate_for == &job)
        via.candidate_for = via.candidate = nullptr;
    if (job.parent != nullptr) {
        std::erase(job.parent->children, &job);
        if (job.is_direct) // pays for what it used, beyond or below what it was lent
            job.parent->slots_available -= job.slots_used * via.limits.slot_cost;
    }
    for (Job* const child : job.children) {
        child->parent = job.parent;
        child->is_direct = false;
        if (job.parent != nullptr)
            job.parent->children.push_back(child);
    }
    job.children.clear();
    job.parent = nullptr;
    job.is_direct = false;
    job.level = 0;
    job.slots_used = 0;
    via.extra_left += std::exchange(job.extra, 0);
}

// Its peers stand in their destinations at the same place as the job in the list.
void Scheduler::move_to(Job& job, Place place)
{
    TransportState& via = *job.transport;
    via.jobs.erase(job.place);
    for (const Peer* peer = job.first_peer; peer != nullptr; peer = peer->next) {
        Destination& to = *peer->destination;
        auto node = to.peers.extract(job.place);
        node.key() = place;
        to.peers.insert(std::move(node));
        if (!to.is_ready)
            continue;
        ReadyList& list = via.ready_list(to);
        list.erase({to.ready_at, &to});
        to.ready_at.first = to.peers.begin()->first;
        list.emplace(to.ready_at, &to);
    }
    job.place = place;
    via.jobs.emplace(place, &job);
}

// There was no place left between two jobs: all get new ones, far apart.
void Scheduler::renumber(TransportState& via)
{
    constexpr Place step = Place{1} << 32;
    std::vector<Job*> order;
    for (const auto& [place, job] : via.jobs)
        order.push_back(job);
    // From behind, and beyond all places in use, so that no two meet on the way.
    via.last_place += step * (order.size() + 1);
    Place place = via.last_place;
    for (Job* const job : order | std::views::reverse) {
        move_to(*job, place);
        job->home = place;
        place -= step;
    }
}

bool Scheduler::has_usable_peer(const Job& job) const
{
    for (const Peer* peer = job.first_peer; peer != nullptr; peer = peer->next)
        if (const Destination& to = *peer->destination; to.is_ready && has_capacity_for(to.ready_as))
            return true;
    return false;
}

// The job behind `current` that waits most for what it needs, if current can pay for it.
Job* Scheduler::find_candidate(const TransportState& via, const Job& current, Moment now) const
{
    constexpr double second = 1'000'000;
    const std::int64_t affordable =
        (std::int64_t{current.read} - current.selected + current.slots_available) / via.limits.slot_cost;
    Job* best = nullptr;
    double best_score = 0;
    for (auto next = via.jobs.upper_bound(current.place); next != via.jobs.end(); ++next) {
        Job& job = *next->second;
        const double delay = static_cast<double>(now - job.queued) / second + 1;
        if (best != nullptr && job.level == 0 && delay <= best_score)
            break; // those behind are younger still
        const std::int64_t needed = job.needed();
        if (!job.children.empty() || needed <= 0 || needed > affordable)
            continue;
        const double score = delay / static_cast<double>(job.max_entries());
        if ((best != nullptr && score <= best_score) || !has_usable_peer(job))
            continue;
        best = &job;
        best_score = score;
    }
    return best;
}

void Scheduler::preempt(TransportState& via, Job& current, Moment now)
{
    const TransportLimits& limits = via.limits;
    if (limits.slot_cost < 2 || current.slots_available <= 0 ||
        current.max_entries() < std::int64_t{limits.minimum_slots} * limits.slot_cost)
        return;
    const Moment second = now / 1'000'000;
    if (via.candidate_for != &current || via.candidate_second != second) {
        via.candidate = find_candidate(via, current, now);
        via.candidate_for = &current;
        via.candidate_second = second;
    }
    Job* const job = via.candidate;
    if (job == nullptr || !has_usable_peer(*job))
        return;
    const std::int64_t needed = job->needed();
    if ((current.slots_available / limits.slot_cost + limits.slot_loan) * 100 <
        needed * (100 - limits.slot_discount))
        return;

    auto before = via.jobs.find(current.place);
    Place low = before == via.jobs.begin() ? 0 : std::prev(before)->first;
    if (current.place - low < 2) {
        renumber(via);
        before = via.jobs.find(current.place);
        low = before == via.jobs.begin() ? 0 : std::prev(before)->first;
    }
    if (job->parent != nullptr)
        std::erase(job->parent->children, job);
    move_to(*job, low + (current.place - low) / 2);
    job->parent = &current;
    job->is_direct = true;
    job->level = current.level + 1;
    current.children.push_back(job);
    current.slots_available -= needed * limits.slot_cost;
    job->slots_used = -needed;
    if (job->unread > 0 && job->extra == 0) {
        job->extra = (via.extra_left + 1) / 2;
        via.extra_left -= job->extra;
    }
    via.candidate_for = via.candidate = nullptr;
}

std::size_t Scheduler::room_for(const ActiveMessage& message, std::size_t has, std::size_t free,
                                std::size_t minimum) const
{
    std::size_t extra = 0;
    std::size_t in_transports = 0;
    if (message.jobs.empty())
        in_transports = free;
    for (const Job& job : message.jobs) {
        extra += static_cast<std::size_t>(job.extra);
        const TransportState& via = *job.transport;
        const auto limit = static_cast<std::size_t>(via.limits.recipients_in_memory);
        in_transports = std::max(in_transports, limit > via.recipients ? limit - via.recipients : 0);
    }
    const std::size_t wanted = std::max({has + std::min(free, in_transports), minimum, extra});
    return wanted - std::min(wanted, has);
}

std::pair<std::size_t, Seconds> Scheduler::refill_of(const ActiveMessage& message) const
{
    if (message.jobs.empty())
        return {1, Seconds(5)};
    const TransportLimits& limits = message.jobs.front().transport->limits;
    return {static_cast<std::size_t>(limits.refill_limit), limits.refill_delay};
}

} // namespace bulkhead
