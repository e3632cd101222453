// What a server's EHLO reply offers (RFC 5321, 4.1.1.1).
#pragma once

#include "smtp/reply.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Capabilities {
    std::string host; // the server's name for itself, as printable text
    bool pipelining = false;
    bool eightbitmime = false;
    bool dsn = false;
    bool smtputf8 = false;
    bool enhanced_status_codes = false;
    bool starttls = false;
    bool chunking = false;
    bool size = false;                 // SIZE was offered
    std::uint64_t size_limit = 0;      // its number; 0: none told
    std::vector<std::string> auth;     // mechanisms, upper case, no doubles
    std::vector<std::string> xforward; // attribute names, upper case

    bool offers_auth(std::string_view mechanism) const;     // any case
    bool offers_xforward(std::string_view attribute) const; // any case
};

// Any reply will do: unknown words and bad numbers are ignored.  Words of
// discard (smtp_discard_ehlo_keywords, any case) are passed over.
Capabilities parse_capabilities(const PeerReply& reply, const std::vector<std::string>& discard = {});

} // namespace bulkhead
