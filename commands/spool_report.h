// What `bulkhead spool` shows: the queues of the environments as text for people and as
// one JSON document (docs/spool-inspector.md).  Values in, text out.
#pragma once

#include "spool_snapshot.h"
#include "wait_condition.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bulkhead
{

struct EnvironmentReport {
    std::string name;
    std::string config_directory;
    std::string queue_directory;
    QueueCounts counts;
    std::vector<SnapshotMessage> messages; // in the order of message_queues
};

// "maildrop 0, active 1, ..., total 3"
std::string counts_text(const QueueCounts& counts);

// now: unix time, for "in 240 s".
std::string report_text(std::span<const EnvironmentReport> environments, std::int64_t now);
std::string report_json(std::span<const EnvironmentReport> environments);

} // namespace bulkhead
