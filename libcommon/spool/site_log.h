// The lists in flush/: for each site (a domain of fast_flush_domains) the ids of messages
// that wait for it, one a line.  Only hints: an id too many is passed over, one that is
// missing means that the message waits for its own time.
#pragma once

#include "base/result.h"
#include "spool/paths.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// "example_test" of Example.Test: the list's file name.
std::string site_log_name(std::string_view site);

// Adds an id.
Result<> append_site_log(const Spool& spool, std::string_view site, const QueueId& id);

// What is in the list goes from deferred/ to incoming/, due now, and out of the list; what
// is being tried at the moment stays in it.  Says how many went.  No list: none.
Result<std::size_t> release_site(const Spool& spool, std::string_view site, std::int64_t now);

struct SiteLogAges {
    std::int64_t refresh = 0; // seconds: a list that was not read for so long is released
    std::int64_t purge = 0;   // an empty one is removed
};

// Looks after all lists; says how many messages were released.
Result<std::size_t> refresh_site_logs(const Spool& spool, const SiteLogAges& ages, std::int64_t now);

} // namespace bulkhead
