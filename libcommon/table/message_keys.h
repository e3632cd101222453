// The keys that postmap -b, -h and -m make from a message on standard input: its headers, unfolded
// as they are, and the lines of its body.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct MessageKeyOptions {
    bool headers = false;
    bool body = false;
    bool parse_mime = false; // headers of parts and of attached messages are headers too
};

std::vector<std::string> message_keys(std::string_view message, const MessageKeyOptions& options);

} // namespace bulkhead
