// The address lists of RFC 5322 headers (From, To, Cc, Bcc, Resent-*): which
// addresses they hold, and where each stands in the text, so that an address can
// be replaced in place while phrases and comments stay as they were.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// One mailbox.  [begin, end) is its addr-spec in the parsed text: without the
// angle brackets, with a source route and with comments between its tokens.
struct ListedAddress {
    ListedAddress(std::string internal, std::size_t from, std::size_t to)
        : address(std::move(internal)), begin(from), end(to)
    {
    }

    std::string address; // internal form; empty for "<>"
    std::size_t begin = 0;
    std::size_t end = 0;
};

struct AddressList {
    std::vector<ListedAddress> addresses; // in text order
    std::size_t malformed = 0;            // elements that hold no address and were passed over
    bool has_group = false;               // "undisclosed-recipients:;" and the like
};

struct AddressListLimits {
    std::size_t addresses = 50'000;
    std::size_t comment_depth = 50;
};

// Text may be folded (line breaks count as blanks); obsolete forms of RFC 5322
// section 4 are accepted; encoded words are left alone.  An element that is no
// address is counted, not an error: only a limit is (Fault::limit).
Result<AddressList> parse_address_list(std::string_view text, const AddressListLimits& limits = {});

} // namespace bulkhead
