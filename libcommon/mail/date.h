// Dates as mail shows them, in local time.  Only localtime_r is used: after
// tzset() in the worker's start these work inside the jail.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead
{

// "Sun, 22 Nov 2026 07:00:50 +0000 (UTC)" (RFC 5322, 3.3); seconds since 1970.
std::string rfc5322_date(std::int64_t seconds);

// "Sun Nov 22 07:01:51", 19 characters, as mailq shows arrival times.
std::string listing_date(std::int64_t seconds);

// "Sun Nov 22 07:01:51 2026", as postcat shows times.
std::string asctime_date(std::int64_t seconds);

} // namespace bulkhead
