// Messages as they lie in a spool, read directly, without any worker.  Files move while
// it reads: a message may be seen twice or, between two queues, not at all.
#pragma once

#include "base/result.h"
#include "ipc/showq.h"
#include "spool/paths.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace bulkhead
{

class Config;

struct SnapshotMessage {
    ipc::ShownMessage shown;
    std::int64_t modified = 0; // in deferred: the next attempt, unix time
    std::string problem;       // not readable, and why; then only queue, id, size, time are set
};

// The spool that a main.cf names.
Result<Spool> open_configured_spool(const Config& config);

// Calls `see` for each complete message of the queue; those of the commit log, which have no
// file yet, are shown in incoming.  with_message_id: looks for the
// Message-ID header too.
Result<> read_queue(const Spool& spool, Queue queue, bool with_message_id,
                    const std::function<void(SnapshotMessage)>& see);

// One message that was located; nullopt if it has just gone.
std::optional<SnapshotMessage> read_located_message(const Spool& spool, Queue queue, const QueueId& id,
                                                    const std::string& path);

// How many complete messages the queue holds, without reading them; incoming has those of the
// commit log too.  Queues are to be counted in the order that mail takes.
Result<std::size_t> count_queue(const Spool& spool, Queue queue);

} // namespace bulkhead
