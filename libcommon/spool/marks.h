// The few bytes and mode bits of a queue file that change after it was written.
// All of them are single small writes: a crash repeats a delivery, never loses one.
#pragma once

#include "base/result.h"

#include <sys/types.h>

#include <cstdint>

namespace bulkhead
{

namespace file_mode
{
inline constexpr mode_t unfinished = 0600;
inline constexpr mode_t ready = 0700;
inline constexpr mode_t submission = 0744; // maildrop: readable by all, owned by the submitter
inline constexpr mode_t unthrottle = 0040;
inline constexpr mode_t force_expire = 0010;
inline constexpr mode_t corrupt = 0400;
} // namespace file_mode

// R becomes D.  The fd is open for writing.  Already D: nothing to do.  Fault::malformed
// if there is no recipient at that offset.  No fsync: the format does without.
Result<> mark_recipient_done(int fd, std::int64_t offset);

// The "delayed" notice was sent: W becomes -1.
Result<> clear_warn_time(int fd, std::int64_t offset);

// An A record that has served (trace_flags of sendmail -v) becomes K.
Result<> kill_attribute(int fd, std::int64_t offset);

// Mode bits of an open file.  mark_corrupt() tells the queue manager to move the
// file to corrupt/; a delivery agent calls it when it cannot read a message.
Result<> mark_corrupt(int fd);
Result<> request_unthrottle(int fd);
Result<> clear_unthrottle(int fd);
Result<> force_expire(int fd);

} // namespace bulkhead
