// What `bulkhead status` shows: the master's lines on its environments, with what lies in their
// spools, as text and as one JSON document.
#pragma once

#include "wait_condition.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

struct EnvironmentStatus {
    std::string name;
    std::string state; // running, draining, leaving, disabled, stopped, refused
    std::string config_directory;
    std::uint64_t processes = 0;
    std::uint64_t sessions = 0;
    std::vector<std::string> throttled; // services
    std::string last_error;
    std::optional<QueueCounts> queue;           // nullopt: the spool cannot be read
    std::optional<std::int64_t> oldest_arrival; // unix time
};

// The answer to "status", without its first line ("pid N" and what follows).
std::vector<EnvironmentStatus> parse_status(const std::vector<std::string>& lines);

// Reads the spool of one that has a configuration.
void look_into_spool(EnvironmentStatus& status);

// now: unix time
std::string status_text(const std::vector<EnvironmentStatus>& environments, std::int64_t now);
std::string status_json(std::int64_t pid, const std::vector<EnvironmentStatus>& environments,
                        std::int64_t now);

} // namespace bulkhead
