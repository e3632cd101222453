// Log lines as they come from the environment's workers and commands: several
// datagrams with one system call, cleaned of everything that is no text.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace bulkhead
{

// Replaces bytes that are neither text nor a line end, and ends the last line (there
// is room for one byte behind `size`).  The size of the text now; 0: nothing in it.
std::size_t clean_lines(char* text, std::size_t size);

class DatagramReader
{
public:
    static constexpr std::size_t batch = 32;                 // datagrams a turn
    static constexpr std::size_t datagram_limit = 32 * 1024; // bytes; the rest of a larger one is lost

    DatagramReader();

    // What is there now, one piece for each datagram; empty when there is none.  The
    // pieces live until the next call.
    std::span<iovec> read(int fd);

private:
    static constexpr std::size_t buffer_size = datagram_limit + 1;

    std::unique_ptr<char[]> buffers_;
    std::array<iovec, batch> pieces_{};
};

} // namespace bulkhead
