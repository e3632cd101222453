// What an address verification probe carries with it: names that verify/ writes and that
// delivery agents read.
#pragma once

#include <string_view>

namespace bulkhead
{

// The address that was asked for, in a private attribute of the queue file: recipients are
// rewritten and expanded on their way.
inline constexpr std::string_view probe_attribute = "x_bulkhead_probe";

} // namespace bulkhead
