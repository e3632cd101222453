// From argv= and a message to the words of one command: every $name, and one word for each
// recipient where a word speaks of recipients.
#pragma once

#include "attributes.h"

#include "base/result.h"
#include "spool/envelope.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct PipeRecipient {
    std::string address;  // internal form
    std::string original; // as received, internal form; may be empty
};

struct PipeMessage {
    std::string queue_id;
    std::string sender; // internal form
    std::string nexthop;
    std::string envelope_id;
    std::int64_t size = 0;
    std::vector<NamedAttribute> attributes; // of the queue file
    std::vector<PipeRecipient> recipients;
};

// Fault::config for a $name that does not exist.
Result<> check_command_words(const std::vector<std::string>& words);

Result<std::vector<std::string>> command_words(const PipeAttributes& attributes, const PipeMessage& message,
                                               std::string_view recipient_delimiter);

// The sender as the command is shown it, also in "From " and Return-Path:.
std::string shown_sender(const PipeAttributes& attributes, const PipeMessage& message);

} // namespace bulkhead
