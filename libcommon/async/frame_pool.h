// Memory for the frames of coroutines.  Many are larger than what the C library keeps at
// hand, and each message makes and ends dozens of them: the blocks are kept here for the
// next one.  Each thread has its own.
#pragma once

#include <cstddef>

namespace bulkhead
{

void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

// To inherit from, for promise types.
struct PooledFrame {
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }
};

} // namespace bulkhead
