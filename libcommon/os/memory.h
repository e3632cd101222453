// Memory that a process needed to start, given back once it has.
#pragma once

namespace bulkhead
{

// The heap's free pages, and the pages of program code and constants: those that are still needed come
// back from the page cache at the next use.  A process keeps what its work touches, and not what reading
// its configuration did.  Changes of code that a debugger has made are lost.
void release_start_memory();

} // namespace bulkhead
