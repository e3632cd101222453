// Looks whether a spool holds work for a program that is not running, without
// reading any message.
#pragma once

#include "spool/paths.h"

namespace bulkhead
{

// maildrop has a file: work for pickup.
bool has_dropped_mail(const SpoolLayout& spool);

// maildrop, incoming or active has a file: mail that somebody is working on, or should.
bool has_moving_mail(const SpoolLayout& spool);

// incoming, active or deferred has a file: work for qmgr.
bool has_queued_mail(const SpoolLayout& spool);

} // namespace bulkhead
