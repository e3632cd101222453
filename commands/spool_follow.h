// `bulkhead spool --follow`: one message on its way through the queues, seen from the
// outside: by its file, and by the lines that workers log about it.
#pragma once

#include "spool_environment.h"

#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace bulkhead
{

// Prints a line for each change until the message has left the spool.  wanted: a queue id or
// a Message-ID.  0: it has left; EX_TEMPFAIL: time is up.
int follow_message(std::span<const SpoolEnvironment> environments, const std::string& wanted,
                   std::optional<std::chrono::milliseconds> timeout);

// True if the line speaks of this id: the id stands there as a whole word.
bool mentions(std::string_view line, std::string_view id);

// The queue id in front of a line's text ("... postfix/cleanup[12]: ID: message-id=..."),
// "" if there is none.
std::string_view queue_id_of_line(std::string_view line);

} // namespace bulkhead
