// One message of the active queue, as far as it must be in memory.  Thousands of them may wait
// for a destination: what only few of them have stands apart.
#pragma once

#include "scheduler.h"

#include "spool/envelope.h"
#include "spool/queue_id.h"

#include <forward_list>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace bulkhead
{

// What deliveries and notices need of an envelope.
struct ActiveEnvelope {
    struct Rare {
        std::string envelope_id;
        std::string verp;
        std::string content_filter;
        std::string redirect;
        std::int64_t trace_flags_offset = 0;

        bool operator==(const Rare&) const = default;
    };

    ActiveEnvelope() = default;
    explicit ActiveEnvelope(const Envelope& whole);

    const Rare& rare() const;

    std::string sender;
    std::unique_ptr<const Rare> if_rare;
    const char* encoding = "";        // "7bit", "8bit" or ""
    const char* rewrite_context = ""; // "local", "remote" or ""
    WallTime arrival;
    std::int64_t create_time = 0;
    std::int64_t warn_time = 0;
    std::int64_t warn_offset = 0;
    std::int64_t data_offset = 0;
    std::int64_t message_size = 0;
    unsigned ret_flags = 0;
    unsigned trace_flags = 0;
    unsigned send_options = 0;
};

// Recipients that are still in the file only.
struct UnreadRecipients {
    MessageSizes sizes;
    RecipientCursor next;
    std::size_t count = 0;
    SteadyTime last_read{}; // when the ones before them were read
};

struct ActiveMessage {
    bool is_probe() const { return (envelope.trace_flags & trace_flag::probe) != 0; }
    std::size_t unread_count() const { return unread ? unread->count : 0; }

    QueueId id;
    ActiveEnvelope envelope;
    std::unique_ptr<UnreadRecipients> unread; // null: there are none
    std::forward_list<Job> jobs;              // of the scheduler, which alone changes them
    WallTime active_since;
    std::size_t outstanding = 0;            // recipients that wait or are being delivered
    std::size_t deferred = 0;               // recipients left for another attempt
    std::size_t bounced = 0;                // recipients that failed in this attempt
    std::vector<std::string> waiting_sites; // domains of deferred recipients that flush lists
    bool fresh = false;                     // never tried before, nor twice: no old logs exist
    bool force_expire = false;              // postsuper -e
    bool uncertain = false;                 // an agent died: the file knows what was done
    bool wants_trace = false;               // the sender asked for reports
    bool one_by_one = false;                // VERP: each recipient sees a sender of his own
    bool in_log = false;                    // it has no file: see commit_log.h
    bool filing = false;                    // it is getting one
    bool refilling = false;                 // more recipients are being read
};

// An element is found by its queue id, which stands in the message alone.
struct ByQueueId {
    using is_transparent = void;
    static std::string_view id_of(const std::unique_ptr<ActiveMessage>& message)
    {
        return message->id.text();
    }
    static std::string_view id_of(std::string_view id) { return id; }

    std::size_t operator()(const auto& one) const { return std::hash<std::string_view>{}(id_of(one)); }
    bool operator()(const auto& one, const auto& other) const { return id_of(one) == id_of(other); }
};
using ActiveMessages = std::unordered_set<std::unique_ptr<ActiveMessage>, ByQueueId, ByQueueId>;

} // namespace bulkhead
