// co_await ask(may_block, f): runs a look-up where it can do no harm.  Tables in memory and
// in files answer at once, on the loop; when one of the tables may have to ask another
// process, the whole step - all keys, all tables - is one job on the look-up threads.
//
//     const auto resolve = [&] { return resolver_->resolve(sender, address); };
//     auto route = co_await ask(resolver_->may_block(), resolve);
#pragma once

#include "async/offload.h"

#include <optional>
#include <utility>

namespace bulkhead
{

// f is named on the line before, and only asks: it must not log, touch the loop, or change
// what other sessions see.  What it refers to must live until the await is over.
template <typename Function> OffloadAwaiter<Function> ask(bool may_block, Function f)
{
    return OffloadAwaiter<Function>(std::move(f), may_block ? std::optional(Pool::lookups) : std::nullopt);
}

} // namespace bulkhead
