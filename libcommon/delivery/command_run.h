// One command with a message on its standard input: fed, watched, and ended when its time is
// over.  Blocks: it is work for a thread of Pool::commands.
#pragma once

#include "delivery/command_starter.h"
#include "delivery/message_copy.h"

#include "base/clock.h"

#include <string>
#include <string_view>

namespace bulkhead
{

struct CommandRun {
    Command command;
    MessageCopy message;
    CopyForm form;
    Seconds time_limit{1000};
};

struct CommandResult {
    int wait_status = 0;
    bool timed_out = false;
    std::string output; // of its standard output and error, the first output_limit bytes
};

inline constexpr std::size_t command_output_limit = 4096;

// Errors are ours: no process, no pipe, a damaged queue file (Fault::malformed).
Result<CommandResult> run_command(const CommandStarter& starter, const CommandRun& run);

// What a command's end means for the mail (sysexits.h; compat/log-format.md).  Output that
// begins with 4.x.x or 5.x.x overrules any status but success.
struct CommandVerdict {
    enum class Kind { delivered, failed, try_later } kind = Kind::delivered;
    std::string dsn;
    std::string text; // empty when delivered
};
CommandVerdict verdict_of(const CommandResult& result, std::string_view shown_command);

} // namespace bulkhead
