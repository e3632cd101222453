#include "scheduler.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace bulkhead
{

static std::optional<double> parse_number(std::string_view text)
{
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || value < 0)
        return std::nullopt;
    return value;
}

Result<Feedback> Feedback::parse(std::string_view text)
{
    const auto slash = text.find('/');
    const auto amount = parse_number(trim(text.substr(0, slash)));
    if (!amount)
        return Error{Fault::config, fmt::format("bad feedback value: {}", text)};
    if (slash == std::string_view::npos)
        return Feedback{*amount, false};
    const std::string_view divisor = trim(text.substr(slash + 1));
    if (equals_ignoring_case(divisor, "concurrency"))
        return Feedback{*amount, true};
    const auto number = parse_number(divisor);
    if (!number || *number == 0)
        return Error{Fault::config, fmt::format("bad feedback value: {}", text)};
    return Feedback{*amount / *number, false};
}

Transport& Scheduler::transport(const std::string& name)
{
    auto& slot = transports_[name];
    if (!slot) {
        slot = std::make_unique<Transport>();
        slot->name = name;
        slot->limits = limits_of_(name);
    }
    return *slot;
}

// The window of a destination that nothing is known about.
static int initial_window(const TransportLimits& limits)
{
    const int limit = limits.rate_delay > Seconds(0) ? 1 : limits.concurrency;
    return limit > 0 ? std::min(limits.initial, limit) : limits.initial;
}

Destination& Scheduler::destination(Transport& of, const std::string& nexthop)
{
    auto& slot = of.destinations[nexthop];
    if (!slot) {
        slot = std::make_unique<Destination>();
        slot->transport = &of;
        slot->nexthop = nexthop;
        slot->window = initial_window(of.limits);
    }
    return *slot;
}

const Destination* Scheduler::find(const std::string& transport_name, const std::string& nexthop) const
{
    const auto found = transports_.find(transport_name);
    if (found == transports_.end())
        return nullptr;
    const auto slot = found->second->destinations.find(nexthop);
    return slot == found->second->destinations.end() ? nullptr : slot->second.get();
}

void Scheduler::add(ActiveMessage& message, std::vector<RoutedRecipient> recipients, std::int64_t now)
{
    ++order_;
    // Recipients of one destination follow one another: entries fill up.
    std::ranges::sort(recipients, [](const RoutedRecipient& a, const RoutedRecipient& b) {
        return std::tie(a.transport, a.nexthop, a.recipient.offset) <
               std::tie(b.transport, b.nexthop, b.recipient.offset);
    });
    for (RoutedRecipient& routed : recipients) {
        Transport& via = transport(routed.transport);
        Destination& to = destination(via, routed.nexthop);
        auto& job = jobs_[{&message, &via}];
        if (!job) {
            job = std::make_unique<Job>();
            job->message = &message;
            job->transport = &via;
            job->order = order_;
        }
        auto peer = std::ranges::find(to.peers, job.get(), &Peer::job);
        if (!to.peers.empty() && to.peers.back().job == job.get())
            peer = std::prev(to.peers.end());
        if (peer == to.peers.end()) {
            const auto behind =
                std::ranges::find_if(to.peers, [&](const Peer& p) { return p.job->order > job->order; });
            peer = to.peers.emplace(behind);
            peer->job = job.get();
        }
        const auto limit = static_cast<std::size_t>(via.limits.recipients);
        if (peer->entries.empty() || (limit > 0 && peer->entries.back()->recipients.size() >= limit)) {
            auto entry = std::make_unique<Entry>();
            entry->message = &message;
            entry->job = job.get();
            entry->destination = &to;
            peer->entries.push_back(std::move(entry));
            ++to.todo;
            ++job->entries;
            ++waiting_;
        }
        peer->entries.back()->recipients.push_back(std::move(routed.recipient));
        refresh(to, now);
    }
}

// Puts a destination into its transport's ready list, or takes it out.
void Scheduler::refresh(Destination& to, std::int64_t now)
{
    if (to.window == 0 && to.dead_until <= now) { // the rest is over: begin anew
        to.window = to.busy > 0 ? to.busy : initial_window(to.transport->limits);
        to.success = to.failure = to.failed_cohorts = 0;
        to.dead_reason.clear();
    }
    const bool ready = to.todo > 0 && to.window > to.busy && to.not_before <= now;
    if (!ready)
        unready(to);
    if (!ready || to.ready)
        return;
    to.transport->ready.push_back(&to);
    to.ready = true;
    serve(*to.transport);
}

void Scheduler::serve(Transport& via)
{
    if (via.serving)
        return;
    serving_.push_back(&via);
    via.serving = true;
}

void Scheduler::unready(Destination& to)
{
    if (!to.ready)
        return;
    to.transport->ready.remove(&to);
    to.ready = false;
}

std::unique_ptr<Entry> Scheduler::next(std::int64_t now)
{
    for (std::size_t turns = serving_.size(); turns > 0; --turns) {
        Transport& via = *serving_.front();
        serving_.pop_front();
        if (via.ready.empty() || via.dead_until > now) {
            via.serving = false;
            continue;
        }
        serving_.push_back(&via); // the transports take turns
        Destination& to = *via.ready.front();
        via.ready.pop_front(); // and so do its destinations
        to.ready = false;
        Peer& peer = to.peers.front();
        std::unique_ptr<Entry> entry = std::move(peer.entries.front());
        peer.entries.pop_front();
        if (peer.entries.empty())
            to.peers.pop_front();
        --to.todo;
        --waiting_;
        ++to.busy;
        if (via.limits.rate_delay > Seconds(0))
            to.not_before = now + via.limits.rate_delay.count();
        refresh(to, now);
        return entry;
    }
    return nullptr;
}

void Scheduler::release(Destination& to, Job& job, std::int64_t now)
{
    --to.busy;
    if (--job.entries == 0)
        jobs_.erase({job.message, job.transport});
    refresh(to, now);
    forget_if_unused(to, now);
}

void Scheduler::forget_if_unused(Destination& to, std::int64_t now)
{
    if (to.busy > 0 || to.todo > 0 || to.window == 0 || to.not_before > now)
        return;
    unready(to);
    Transport& via = *to.transport;
    via.destinations.erase(via.destinations.find(to.nexthop));
}

void Scheduler::delivered(std::unique_ptr<Entry> entry, std::int64_t now)
{
    Destination& to = *entry->destination;
    const TransportLimits& limits = to.transport->limits;
    to.failed_cohorts = 0;
    const int limit = limits.rate_delay > Seconds(0) ? 1 : limits.concurrency;
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
    release(to, *entry->job, now);
}

bool Scheduler::site_failed(std::unique_ptr<Entry> entry, const std::string& reason, std::int64_t now,
                            Seconds rest)
{
    Destination& to = *entry->destination;
    const TransportLimits& limits = to.transport->limits;
    if (to.window > 0) {
        to.failed_cohorts += 1.0 / to.window;
        if (limits.cohorts > 0 && to.failed_cohorts >= limits.cohorts) {
            to.window = 0;
            to.dead_reason = reason;
            to.dead_until = now + rest.count();
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
    release(to, *entry->job, now);
    return dead;
}

void Scheduler::returned(std::unique_ptr<Entry> entry, std::int64_t now)
{
    release(*entry->destination, *entry->job, now);
}

void Scheduler::suspend_transport(const std::string& name, std::int64_t until)
{
    transport(name).dead_until = until;
}

bool Scheduler::is_suspended(const std::string& name, std::int64_t now) const
{
    const auto found = transports_.find(name);
    return found != transports_.end() && found->second->dead_until > now;
}

std::string Scheduler::suspension(const std::string& transport_name, const std::string& nexthop,
                                  std::int64_t now) const
{
    const Destination* const to = find(transport_name, nexthop);
    return to && to->window == 0 && to->dead_until > now ? to->dead_reason : std::string();
}

std::vector<std::unique_ptr<Entry>> Scheduler::take_waiting(const std::string& transport_name,
                                                            const std::string* nexthop)
{
    std::vector<std::unique_ptr<Entry>> taken;
    const auto found = transports_.find(transport_name);
    if (found == transports_.end())
        return taken;
    for (auto& [name, to] : found->second->destinations) {
        if (nexthop && name != *nexthop)
            continue;
        for (Peer& peer : to->peers)
            for (auto& entry : peer.entries) {
                // The destination counts it as busy until the caller returns it.
                ++to->busy;
                taken.push_back(std::move(entry));
            }
        waiting_ -= to->todo;
        to->todo = 0;
        to->peers.clear();
        unready(*to);
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

void Scheduler::tick(std::int64_t now)
{
    for (auto& [name, via] : transports_) {
        for (auto next = via->destinations.begin(); next != via->destinations.end();) {
            Destination& to = *(next++)->second; // it may be forgotten
            refresh(to, now);
            forget_if_unused(to, now);
        }
        if (!via->ready.empty() && via->dead_until <= now)
            serve(*via);
    }
}

std::int64_t Scheduler::next_event(std::int64_t now) const
{
    std::int64_t earliest = 0;
    const auto consider = [&](std::int64_t at) {
        if (at > now && (earliest == 0 || at < earliest))
            earliest = at;
    };
    for (const auto& [name, via] : transports_) {
        consider(via->dead_until);
        for (const auto& [nexthop, to] : via->destinations) {
            consider(to->window == 0 ? to->dead_until : 0);
            consider(to->not_before);
        }
    }
    return earliest;
}

} // namespace bulkhead
