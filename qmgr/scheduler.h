// Who is delivered next.  Pure: no files, no sockets, the time comes from outside.
//
//   message   one active queue file
//   job       message x transport
//   queue     transport x destination: window (how many at once), busy, feedback
//   peer      job x queue: the message's entries for that destination
//   entry     one delivery request: some recipients of one message for one queue
//
// Destinations of a transport take turns, and inside a destination the jobs keep
// their order, so that neither a hanging destination nor a long message holds up
// the others.  Window and feedback as Postfix has them (feature-map.md section f).
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "ipc/delivery.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

struct Transport;
struct Job;
struct Destination;
struct ActiveMessage; // of the caller; the scheduler keeps the pointer only

// A feedback number: f, or f divided by the window ("1/concurrency").
struct Feedback {
    double amount = 1;
    bool per_concurrency = false;
    double at(int window) const { return per_concurrency && window > 0 ? amount / window : amount; }

    // "1", "0.5", "1/4", "1/concurrency", "1/sqrt_concurrency" is refused.
    static Result<Feedback> parse(std::string_view text);
};

struct TransportLimits {
    int concurrency = 20; // destination_concurrency_limit; 0: none
    int initial = 5;      // initial_destination_concurrency
    int recipients = 50;  // destination_recipient_limit; 0: none
    int cohorts = 1;      // destination_concurrency_failed_cohort_limit; 0: never dead
    Feedback positive;
    Feedback negative;
    Seconds rate_delay{0}; // destination_rate_delay
};

struct Entry {
    ActiveMessage* message = nullptr;
    Job* job = nullptr;
    Destination* destination = nullptr;
    std::vector<ipc::DeliveryRecipient> recipients;
};

struct Peer {
    Job* job = nullptr;
    std::deque<std::unique_ptr<Entry>> entries;
};

struct Destination {
    Transport* transport = nullptr;
    std::string nexthop;
    std::list<Peer> peers; // in the order of their jobs
    std::size_t todo = 0;  // entries in the peers
    int busy = 0;
    int window = 1; // 0: dead
    double success = 0;
    double failure = 0;
    double failed_cohorts = 0;
    bool ready = false;      // in the transport's ready list
    std::string dead_reason; // "4.4.1 connect to ...", while dead
    std::int64_t dead_until = 0;
    std::int64_t not_before = 0; // rate delay
};

struct Transport {
    std::string name;
    TransportLimits limits;
    std::map<std::string, std::unique_ptr<Destination>, std::less<>> destinations;
    std::list<Destination*> ready; // have work and room, in turn
    std::int64_t dead_until = 0;
    bool serving = false; // in the scheduler's list of transports with ready destinations
};

struct Job {
    ActiveMessage* message = nullptr;
    Transport* transport = nullptr;
    std::uint64_t order = 0; // of the message's activation
    std::size_t entries = 0; // waiting and being delivered
};

// One recipient and where it goes.
struct RoutedRecipient {
    ipc::DeliveryRecipient recipient;
    std::string transport;
    std::string nexthop;
};

class Scheduler
{
public:
    using LimitsOf = std::function<TransportLimits(const std::string& transport)>;
    explicit Scheduler(LimitsOf limits_of) : limits_of_(std::move(limits_of)) {}

    // Puts a message's recipients into entries.
    void add(ActiveMessage& message, std::vector<RoutedRecipient> recipients, std::int64_t now);

    // The next entry that may be delivered now; the caller owns it until it calls
    // one of the three below.
    std::unique_ptr<Entry> next(std::int64_t now);

    // The request was carried out: feedback for the destination.
    void delivered(std::unique_ptr<Entry> entry, std::int64_t now);
    // The destination itself is in trouble; true when it is dead from now on.
    bool site_failed(std::unique_ptr<Entry> entry, const std::string& reason, std::int64_t now, Seconds rest);
    // The entry could not be handed over; says nothing about the destination.
    void returned(std::unique_ptr<Entry> entry, std::int64_t now);

    // A transport that cannot be reached gives up its waiting entries until then.
    void suspend_transport(const std::string& name, std::int64_t until);
    bool is_suspended(const std::string& name, std::int64_t now) const;

    // Why mail for this destination is not tried now: dead_reason, or empty.
    std::string suspension(const std::string& transport, const std::string& nexthop, std::int64_t now) const;

    // Takes the waiting entries of a dead destination or transport.
    std::vector<std::unique_ptr<Entry>> take_waiting(const std::string& transport,
                                                     const std::string* nexthop);

    // Forgets what is known of dead destinations and transports (flush).
    void forget_failures();

    // The earliest time at which something that rests may go on; 0: nothing rests.
    std::int64_t next_event(std::int64_t now) const;

    // Lets go on what has rested long enough.
    void tick(std::int64_t now);

    std::size_t waiting() const { return waiting_; }

private:
    Transport& transport(const std::string& name);
    Destination& destination(Transport& transport, const std::string& nexthop);
    const Destination* find(const std::string& transport, const std::string& nexthop) const;
    void refresh(Destination& destination, std::int64_t now);
    void release(Destination& destination, Job& job, std::int64_t now);
    void forget_if_unused(Destination& destination, std::int64_t now);
    void unready(Destination& destination);
    void serve(Transport& transport);

    LimitsOf limits_of_;
    std::map<std::string, std::unique_ptr<Transport>, std::less<>> transports_;
    std::list<Transport*> serving_;
    std::map<std::pair<ActiveMessage*, Transport*>, std::unique_ptr<Job>> jobs_;
    std::uint64_t order_ = 0;
    std::size_t waiting_ = 0;
};

} // namespace bulkhead
