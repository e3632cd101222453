#include "async/frame_pool.h"

#include <array>
#include <new>

namespace bulkhead
{

namespace
{

// Smaller ones the C library hands out as fast; larger ones are rare.
constexpr std::size_t smallest = 1024 + 1;
constexpr std::size_t largest = 8 * 1024;
constexpr std::size_t step = 256;             // bytes from one size to the next
constexpr std::size_t max_kept = 16;          // of one size
constexpr std::size_t max_bytes = 128 * 1024; // of all sizes

#if __has_feature(address_sanitizer)
constexpr bool pools = false; // each frame is an allocation that it can watch
#else
constexpr bool pools = true;
#endif

constexpr bool is_pooled(std::size_t bytes)
{
    return pools && bytes >= smallest && bytes <= largest;
}

constexpr std::size_t rounded(std::size_t bytes)
{
    return (bytes + step - 1) / step * step;
}

// What is free is chained through the blocks themselves.  Never destroyed: frames may outlive it.
struct Pool {
    struct Block {
        Block* next;
    };
    struct Size {
        Block* first;
        std::size_t count;
    };
    std::array<Size, largest / step + 1> sizes;
    std::size_t kept; // bytes
};

constinit thread_local Pool pool{};

} // namespace

void* allocate_frame(std::size_t bytes)
{
    if (!is_pooled(bytes))
        return ::operator new(bytes);
    Pool::Size& size = pool.sizes[rounded(bytes) / step];
    if (size.first == nullptr)
        return ::operator new(rounded(bytes));
    Pool::Block* const block = size.first;
    size.first = block->next;
    --size.count;
    pool.kept -= rounded(bytes);
    return block;
}

void free_frame(void* frame, std::size_t bytes) noexcept
{
    if (!is_pooled(bytes))
        return ::operator delete(frame);
    Pool::Size& size = pool.sizes[rounded(bytes) / step];
    if (size.count >= max_kept || pool.kept + rounded(bytes) > max_bytes)
        return ::operator delete(frame);
    size.first = new (frame) Pool::Block{size.first};
    ++size.count;
    pool.kept += rounded(bytes);
}

} // namespace bulkhead
