// What is on disk about a message that a notice is to be made of: its log, its
// envelope, its text.  Synchronous: all of it runs on the pool.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/bounce.h"
#include "mail/delivery_notice.h"
#include "spool/envelope.h"
#include "spool/paths.h"

#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

struct Report {
    QueueId id;
    std::vector<RecipientLogEntry> entries; // one for each recipient, the latest
    std::optional<Envelope> envelope;       // nullopt: the queue file cannot be read
    std::string trouble;                    // then why; for the log
    UniqueFd file;

    std::vector<unsigned> notify_masks() const;
};

// Reads the log and the envelope.  No log and nothing to say: no entries.  For
// Notice::expire, recipients that are still to do and that the log does not know
// are in it too: their mail is given up with the others'.
Result<Report> read_report(const Spool& spool, Queue log, const ipc::BounceFlush& request);

// The notice's third part, line by line; an empty function without a queue file.
// The report must outlive it.
OriginalLines original_lines(const Report& report);

// After an expiry's notice is durable: nobody shall be told, or tried, again.  A log
// whose offsets do not fit the file must not keep the notice coming: they are passed over.
void mark_all_done(const Report& report);

} // namespace bulkhead
