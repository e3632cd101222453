// Addresses as people write them on the command line of sendmail, "Joe <joe@a.example>",
// to internal form.  No I/O.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The addresses of "a@x.example, Joe <joe@y.example>"; what is no address list is one
// address as it stands.  Fault::malformed: nobody, or a line break in it.
Result<std::vector<std::string>> recipient_addresses(std::string_view operand);

// One sender, "" for the null sender; of several the first.  Fault::malformed: a line break.
Result<std::string> sender_address(std::string_view given);

// Without NUL, CR and LF, which would make other records of it further on.
bool is_one_line(std::string_view text);

} // namespace bulkhead
