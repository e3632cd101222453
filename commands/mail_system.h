// What the verbs of bulkhead have in common: the mail system of a folder, how they begin
// other programs, and how they fail.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/maillog.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Request {
    std::string directory;
    int verbosity = 0;
    std::span<char*> arguments; // behind the verb
};

// What a verb needs to know of the folder that it is about.
struct MailSystem {
    std::string directory;
    std::string queue_directory;
    std::string product; // "the Bulkhead mail system"
    MaillogSettings log;
    std::string rotate_suffix;
    std::string compressor;
    Seconds drain_time{0};
};

// Opens the log too.
Result<MailSystem> open_mail_system(const Request& request);

// Says it on standard error and in the log; 1, for the exit status.
int fail(std::string_view text);

// What this command is about to do is in the log before what the master says of it.
void announce(std::string_view text);

// The master's program for the folder of the request.
std::vector<std::string> master_command(const Request& request, const char* mode);
[[noreturn]] void execute(const std::vector<std::string>& words);
int run_and_wait(const std::vector<std::string>& words); // its exit status

// "/x" from "/x/"; a relative path from the folder of the caller.
std::string absolute(const std::string& directory);

// The lock of a master that was just killed may outlive it by a moment: only one that
// answers, or keeps its lock, is there.
bool is_running(const MailSystem& system);

} // namespace bulkhead
