// The Message-ID of a message that came without one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// "<20261122070050.25346A76AFF@mx.example.test>": UTC, so that it stays unique
// when clocks change for summer time.
std::string make_message_id(std::int64_t seconds, std::string_view queue_id, std::string_view myhostname);

} // namespace bulkhead
