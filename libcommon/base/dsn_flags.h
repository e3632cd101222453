// Bit masks that queue files, the protocol and notices share (RFC 3461).
#pragma once

namespace bulkhead::notify // NOTIFY (section 4.1), attribute notify_flags; 0: not given
{
inline constexpr unsigned never = 1;
inline constexpr unsigned success = 2;
inline constexpr unsigned failure = 4;
inline constexpr unsigned delay = 8;
} // namespace bulkhead::notify
