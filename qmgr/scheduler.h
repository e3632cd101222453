// Who is delivered next.  Pure: no files, no sockets, the time comes from outside.
//
//   message   one active queue file
//   job       message x transport
//   queue     transport x destination: window (how many at once), busy, feedback
//   peer      job x queue: the message's entries for that destination
//   entry     one delivery request: some recipients of one message for one queue
//
// The jobs of a transport stand in a list.  Served is the first job that has an entry for a
// destination with room; its destinations take turns.  A hanging destination has no room
// and so holds up nobody, and a small job may preempt a big one that has already had
// its share of slots.  Window, feedback and preemption as Postfix has them
// (feature-map.md section f); what differs is how the first job is found: destinations
// with room are kept sorted by their first job, so that no list of blocked jobs is searched.
//
// All destinations share the capacity for deliveries under way.  Those that may turn out to
// hang get a part of it: three quarters are for destinations that have not taken a
// delivery yet, and of these but a quarter for a second one before the first has ended.  So
// hundreds that hang hold one delivery each, and leave the rest to those that work.
#pragma once

#include "base/clock.h"
#include "config/feedback.h"
#include "config/rate.h"
#include "ipc/delivery.h"
#include "packed_recipients.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bulkhead
{

struct TransportState;
struct Job;
struct Destination;
struct ActiveMessage; // of the caller, with its jobs in it: it lives until all its entries are settled

// Microseconds of a clock that only goes forward.
using Moment = std::int64_t;

struct TransportLimits {
    int concurrency = 20; // destination_concurrency_limit; 0: none
    int initial = 5;      // initial_destination_concurrency
    int recipients = 50;  // destination_recipient_limit; 0: none
    int cohorts = 1;      // destination_concurrency_failed_cohort_limit; 0: never dead
    Feedback positive;
    Feedback negative;
    Rate destination_rate; // destination_rate_delay
    Rate transport_rate;   // transport_rate_delay

    int slot_cost = 5;                // delivery_slot_cost; 0 and 1: no preemption
    int minimum_slots = 3;            // minimum_delivery_slots
    int slot_discount = 50;           // delivery_slot_discount, percent
    int slot_loan = 3;                // delivery_slot_loan
    int recipients_in_memory = 20000; // recipient_limit
    int extra_recipients = 1000;      // extra_recipient_limit, for jobs that preempt
    int refill_limit = 100;           // recipient_refill_limit
    Seconds refill_delay{5};          // recipient_refill_delay

    // Deliveries to one destination at once; 0: no limit.  A delay between deliveries
    // means one at a time, a rate does not.
    int window_limit() const { return destination_rate.is_delay() ? 1 : concurrency; }
};

// What is known of a destination.
enum class Standing {
    proven,  // took a delivery, and has not failed since
    untried, // did not, and nothing is under way to it
    on_trial // did not, and something is
};

struct Entry {
    ActiveMessage* message = nullptr;
    Job* job = nullptr;
    Destination* destination = nullptr;
    bool is_trial = false; // started before the destination was proven
    PackedRecipients recipients;
    std::unique_ptr<Entry> next; // in its queue
};

// Entries, first come, first served.  Mostly one: they are the links themselves.
class EntryQueue
{
public:
    EntryQueue() = default;
    EntryQueue(const EntryQueue&) = delete;
    EntryQueue& operator=(const EntryQueue&) = delete;
    ~EntryQueue();

    bool empty() const { return first_ == nullptr; }
    Entry& back() { return *last_; }
    void push(std::unique_ptr<Entry> entry);
    std::unique_ptr<Entry> pop();

private:
    std::unique_ptr<Entry> first_;
    Entry* last_ = nullptr;
};

struct Peer {
    Job* job = nullptr;
    Destination* destination = nullptr;
    Peer* previous = nullptr; // of the job's
    Peer* next = nullptr;
    EntryQueue entries;
};

// Where a job stands in its transport's list; smaller is earlier.
using Place = std::uint64_t;

struct Destination {
    TransportState* transport = nullptr;
    std::string name;    // of the queue
    std::string nexthop; // what the agents are told
    std::map<Place, Peer> peers;
    std::size_t todo = 0; // entries in the peers
    int busy = 0;
    int window = 1; // 0: dead
    double success = 0;
    double failure = 0;
    double failed_cohorts = 0;
    std::string dead_reason; // "4.4.1 connect to ...", while dead
    Moment dead_until = 0;
    Moment not_before = 0;    // rate delay
    Moment resting_until = 0; // as in the scheduler's list of resting destinations; 0: not there
    bool is_ready = false;
    bool is_proven = false;
    Standing ready_as{};                      // in which of the transport's ready lists
    std::pair<Place, std::uint64_t> ready_at; // as in that list
    std::uint64_t turn = 0;                   // when it was served last
};

// Names of destinations that are proven and have no mail at present: the latest few thousand.
class ProvenNames
{
public:
    void add(const std::string& name);
    void remove(const std::string& name);
    bool has(const std::string& name) const { return recent_.contains(name) || older_.contains(name); }

private:
    std::unordered_set<std::string> recent_;
    std::unordered_set<std::string> older_;
};

// With work and room: by their first job's place, then by who was served longest ago.
using ReadyList = std::set<std::pair<std::pair<Place, std::uint64_t>, Destination*>>;

struct TransportState {
    std::string name;
    TransportLimits limits;
    std::map<std::string, std::unique_ptr<Destination>, std::less<>> destinations;
    std::array<ReadyList, 3> ready; // by standing
    ProvenNames proven;
    std::map<Place, Job*> jobs; // that have entries waiting
    Place last_place = 0;
    std::uint64_t turns = 0;
    std::size_t recipients = 0; // in memory
    int extra_left = 0;         // of extra_recipients
    Moment dead_until = 0;
    Moment not_before = 0;   // rate delay
    bool is_serving = false; // in the scheduler's list of transports with ready destinations

    // The best candidate for preemption, good for one second.
    const Job* candidate_for = nullptr;
    Job* candidate = nullptr;
    Moment candidate_second = -1;

    Moment rests_until() const { return std::max(dead_until, not_before); }
    bool has_ready() const
    {
        return std::ranges::any_of(ready, [](const ReadyList& list) { return !list.empty(); });
    }
    ReadyList& ready_list(const Destination& of) { return ready[static_cast<std::size_t>(of.ready_as)]; }
};

struct Job {
    ActiveMessage* message = nullptr;
    TransportState* transport = nullptr;
    Peer* first_peer = nullptr; // in no order
    Place home = 0;             // by age
    Place place = 0;            // where it stands now
    Moment queued = 0;          // since when
    std::uint32_t waiting = 0;  // entries
    std::uint32_t read = 0;     // entries ever made of its recipients
    std::uint32_t selected = 0; // entries that were taken
    std::uint32_t unread = 0;   // recipients of the message that are not in memory

    // Preemption: who stands on whom, and what that has cost.
    std::int64_t slots_available = 0;
    std::int64_t slots_used = 0;
    Job* parent = nullptr;
    std::vector<Job*> children;
    int level = 0;
    int extra = 0;          // of the transport's extra recipients
    bool is_direct = false; // the parent is the one that it preempted

    std::int64_t max_entries() const { return std::int64_t{read} + unread; }
    std::int64_t needed() const { return max_entries() - selected; } // at most, from now on
    void link(Peer& peer);
    void unlink(Peer& peer);
};

// One recipient and where it goes.
struct RoutedRecipient {
    ipc::DeliveryRecipient recipient;
    std::string transport;
    std::string nexthop;
    std::string queue{}; // the destination's name when it is not the next hop
};

class Scheduler
{
public:
    using LimitsOf = std::function<TransportLimits(const std::string& transport)>;
    explicit Scheduler(LimitsOf limits_of) : limits_of_(std::move(limits_of)) {}

    // How many entries the caller has out at most; without a call: any number.
    void set_capacity(std::size_t entries) { capacity_ = entries; }

    // Puts a message's recipients into entries.  unread: how many more recipients it has
    // that are not in memory.
    void add(ActiveMessage& message, std::vector<RoutedRecipient> recipients, std::size_t unread, Moment now);

    // What the administrator has set for a transport; asked for once.
    const TransportLimits& limits(const std::string& name) { return transport(name).limits; }

    // The next entry that may be delivered now; the caller owns it until it calls
    // one of the three below.
    std::unique_ptr<Entry> next(Moment now);

    // The request was carried out: feedback for the destination.
    void delivered(std::unique_ptr<Entry> entry, Moment now);
    // The destination itself is in trouble; true when it is dead from now on.
    bool site_failed(std::unique_ptr<Entry> entry, const std::string& reason, Moment now, Seconds rest);
    // The entry could not be handed over; says nothing about the destination.
    void returned(std::unique_ptr<Entry> entry, Moment now);

    // A transport that cannot be reached gives up its waiting entries until then.
    void suspend_transport(const std::string& name, Moment until);
    bool is_suspended(const std::string& name, Moment now) const;

    // Why mail for this queue is not tried now: dead_reason, or empty.
    std::string suspension(const std::string& transport, const std::string& queue, Moment now) const;

    // Takes the waiting entries of a dead destination or transport.
    std::vector<std::unique_ptr<Entry>> take_waiting(const std::string& transport, const std::string* queue);

    // Forgets what is known of dead destinations and transports (flush).
    void forget_failures();

    // How many more recipients of a message may be read into memory now; has: how many it has there.
    // free: what the limit over all messages leaves; minimum: what every message may have.
    std::size_t room_for(const ActiveMessage& message, std::size_t has, std::size_t free,
                         std::size_t minimum) const;
    // Reading more is worth the trouble when there is room for so many, or after that long.
    std::pair<std::size_t, Seconds> refill_of(const ActiveMessage& message) const;

    // The earliest time at which something that rests may go on; 0: nothing rests.
    Moment next_event(Moment now) const;

    // Lets go on what has rested long enough.
    void tick(Moment now);

    std::size_t waiting() const { return waiting_; }

private:
    TransportState& transport(const std::string& name);
    Destination& destination(TransportState& transport, const RoutedRecipient& routed);
    const Destination* find(const std::string& transport, const std::string& queue) const;
    Job& job(ActiveMessage& message, TransportState& transport, Moment now);
    void add_to_entry(Job& job, Destination& destination, const ipc::DeliveryRecipient& recipient);
    std::unique_ptr<Entry> take(TransportState& transport, Destination& destination, Moment now);
    void refresh(Destination& destination, Moment now);
    void rest(Destination& destination, Moment now);
    void release(Entry& entry, Moment now);
    void forget_if_unused(Destination& destination, Moment now);
    void unready(Destination& destination);
    bool has_capacity_for(Standing standing) const;
    Destination* first_ready(const TransportState& transport) const;
    void take_waiting_of(Destination& destination, std::vector<std::unique_ptr<Entry>>& taken);
    void serve(TransportState& transport);

    // preemption.cc
    void enlist(Job& job);
    void retire(Job& job);
    void move_to(Job& job, Place place);
    void renumber(TransportState& transport);
    bool has_usable_peer(const Job& job) const;
    Job* find_candidate(const TransportState& transport, const Job& current, Moment now) const;
    void preempt(TransportState& transport, Job& current, Moment now);

    LimitsOf limits_of_;
    std::map<std::string, std::unique_ptr<TransportState>, std::less<>> transports_;
    std::list<TransportState*> serving_;
    std::set<std::pair<Moment, Destination*>> resting_;
    std::size_t waiting_ = 0;
    std::size_t capacity_ = std::numeric_limits<std::size_t>::max();
    std::size_t trials_ = 0; // entries that are out, of destinations that were not proven
};

} // namespace bulkhead
