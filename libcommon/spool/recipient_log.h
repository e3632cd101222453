// The logs in bounce/, defer/ and trace/: for each message what became of which
// recipient, as text, one entry after the other.  Notices are made from them and
// mailq shows reasons from them.
#pragma once

#include "base/result.h"
#include "spool/paths.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// One recipient's fate.  Addresses in the quoted form of RFC 5321, without <>;
// "" is the null address.
struct RecipientLogEntry {
    std::string recipient;
    std::string original_recipient;     // "" if the same
    std::optional<std::int64_t> offset; // of its record in the queue file, if it is there
    std::string dsn_original;           // "type;address", or ""
    unsigned notify = 0;
    std::string status;          // "4.2.0"
    std::string action;          // delayed failed delivered relayed expanded deliverable undeliverable
    std::string diagnostic_type; // "smtp", with diagnostic_text, or both ""
    std::string diagnostic_text;
    std::string remote_mta_type; // "dns", with remote_mta, or both ""
    std::string remote_mta;
    std::string reason;

    bool operator==(const RecipientLogEntry&) const = default;
};

struct RecipientLog {
    std::vector<RecipientLogEntry> entries;
    std::size_t ignored_lines = 0; // not understood
    bool truncated = false;        // more was there than the limits allow
};

struct RecipientLogLimits {
    std::size_t max_bytes = 64 * 1024 * 1024;
    std::size_t max_entries = 100'000;
    bool wait_for_writer = true; // else the last entry may be a part of one
};

// Adds one entry as text, "?" for bytes that are not printable.  `compatible`
// adds the line "<address>: reason" (backwards_bounce_logfile_compatibility).
void append_recipient_log_text(std::string& out, const RecipientLogEntry& entry, bool compatible = true);

// Total: any bytes give a log.  The queue (bounce, defer, trace) decides what a
// missing status and action mean: 4.0.0 delayed for defer, 5.0.0 failed else.
RecipientLog parse_recipient_log(std::string_view text, Queue queue, const RecipientLogLimits& limits = {});

// Appends under an exclusive lock and makes it durable.  One system call for all
// entries; a failed append is cut off again.
Result<> append_recipient_log(const Spool& spool, Queue queue, const QueueId& id,
                              std::span<const RecipientLogEntry> entries, bool compatible = true);

// Fault::not_found: there is no log.
Result<RecipientLog> read_recipient_log(const Spool& spool, Queue queue, const QueueId& id,
                                        const RecipientLogLimits& limits = {});

// True if there is a log with something in it.
Result<bool> has_recipient_log(const Spool& spool, Queue queue, const QueueId& id);

// Fine if there is none.
Result<> remove_recipient_log(const Spool& spool, Queue queue, const QueueId& id);
// All three of a message.
Result<> remove_recipient_logs(const Spool& spool, const QueueId& id);

} // namespace bulkhead
