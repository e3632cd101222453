// The command line of sendmail, mailq and newaliases as one value.  What forty years of
// programs write there is understood or passed over; only what would change the meaning
// of the call is refused.  No I/O: tested by tests/unit/submission.
#pragma once

#include "submission_writer.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

enum class SendmailMode { send, verify, smtp, list_queue, flush, aliases, start, nothing, help };

struct SendmailCall {
    SendmailMode mode = SendmailMode::send;
    std::optional<std::string> directory;   // -C: the folder, or main.cf in it
    std::optional<std::string> sender;      // as written
    std::string alias_database;             // -oA
    std::vector<std::string> flush_options; // for postqueue
    SubmissionEnvelope envelope;            // without sender and recipients
    bool dots_are_text = false;
    bool wants_verp = false;
    std::vector<std::string> operands;
    std::vector<std::string> warnings; // values that are ignored
    std::string fault;                 // wrong usage, else empty
};

// argv[0] says which of the three names was called.  Uses getopt(3): once per process at a time.
SendmailCall parse_sendmail_call(int argc, char** argv);

} // namespace bulkhead
