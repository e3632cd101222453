#include "frame_client.h"

#include "os/files.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <fmt/format.h>

#include <utility>

namespace bulkhead
{

static constexpr std::size_t read_block = 64 * 1024;

Result<FrameClient> FrameClient::connect(const std::string& path, int patience)
{
    TRY(UniqueFd fd, connect_unix(path));
    TRY_VOID(set_nonblocking(fd.get(), false));
    const timeval wait{patience, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return FrameClient(std::move(fd));
}

Result<> FrameClient::send(const ipc::Message& message)
{
    std::string bytes;
    message.encode(bytes);
    std::string_view rest = bytes;
    while (!rest.empty()) {
        const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("send");
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<ipc::Message> FrameClient::receive()
{
    TRY(const std::string head, read_exactly(ipc::frame_header_size));
    TRY(const ipc::FrameHeader header, ipc::parse_frame_header(head));
    if (header.body_size > ipc::max_frame_body)
        return Error{Fault::limit, "the answer is too long"};
    TRY(std::string body, read_exactly(header.body_size));
    TRY_VOID(ipc::check_attributes(body));
    return ipc::Message(header.kind, std::move(body));
}

Result<std::string> FrameClient::read_exactly(std::size_t size)
{
    while (held_.size() - given_ < size) {
        held_.erase(0, std::exchange(given_, 0)); // once a block, not once a message
        char block[read_block];
        const ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return Error{Fault::timeout, "no answer in time"};
        if (n < 0)
            return system_error("receive");
        if (n == 0)
            return Error{Fault::closed, "the connection was closed"};
        held_.append(block, static_cast<std::size_t>(n));
    }
    std::string taken = held_.substr(given_, size);
    given_ += size;
    return taken;
}

Result<> notify(const std::string& path, std::string_view letters)
{
    TRY(const UniqueFd fd, connect_unix(path));
    const ssize_t n = ::send(fd.get(), letters.data(), letters.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return system_error("write to " + path);
    return {};
}

} // namespace bulkhead
