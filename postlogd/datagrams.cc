#include "datagrams.h"

#include "base/text.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace bulkhead
{

std::size_t clean_lines(char* text, std::size_t size)
{
    if (size == 0)
        return 0;
    if (text[size - 1] != '\n')
        text[size++] = '\n';
    const auto is_plain = [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; };
    char* const end = text + size;
    if (std::all_of(text, end, is_plain))
        return size;
    for (char* line = text; line < end;) {
        char* const line_end = std::find(line, end, '\n');
        if (!std::all_of(line, line_end, is_plain)) {
            // printable() gives one byte for each that it replaces: the size stays.
            const std::string clean =
                printable(std::string_view(line, static_cast<std::size_t>(line_end - line)), true);
            std::memcpy(line, clean.data(),
                        std::min(clean.size(), static_cast<std::size_t>(line_end - line)));
        }
        line = line_end + 1;
    }
    return size;
}

DatagramReader::DatagramReader() : buffers_(std::make_unique_for_overwrite<char[]>(batch * buffer_size)) {}

std::span<iovec> DatagramReader::read(int fd)
{
    std::array<mmsghdr, batch> headers{};
    for (std::size_t i = 0; i < batch; ++i) {
        pieces_[i] = {buffers_.get() + i * buffer_size, datagram_limit};
        headers[i].msg_hdr.msg_iov = &pieces_[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    const int got = ::recvmmsg(fd, headers.data(), batch, MSG_DONTWAIT, nullptr);
    std::size_t filled = 0;
    for (int i = 0; i < got; ++i) {
        iovec piece = pieces_[static_cast<std::size_t>(i)];
        piece.iov_len =
            clean_lines(static_cast<char*>(piece.iov_base), headers[static_cast<std::size_t>(i)].msg_len);
        if (piece.iov_len > 0)
            pieces_[filled++] = piece;
    }
    return std::span(pieces_).first(filled);
}

} // namespace bulkhead
