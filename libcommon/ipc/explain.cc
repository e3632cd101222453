#include "ipc/explain.h"

#include <unistd.h>

#include <cerrno>

namespace bulkhead::ipc
{

void add(Message& message, const Because& because)
{
    message.add("because", because.parameter)
        .add("table", because.table)
        .add("key", because.key)
        .add("value", because.value);
}

std::vector<Because> decisions_of(const Message& message)
{
    std::vector<Because> all;
    auto walk = message.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name == "because")
            all.push_back({std::string(attribute->value), {}, {}, {}});
        else if (all.empty())
            continue;
        else if (attribute->name == "table")
            all.back().table = attribute->value;
        else if (attribute->name == "key")
            all.back().key = attribute->value;
        else if (attribute->name == "value")
            all.back().value = attribute->value;
    }
    return all;
}

Result<Message> read_message(int fd)
{
    std::string bytes;
    char block[16384];
    for (;;) {
        const ssize_t n = ::read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("read");
        if (n == 0)
            break;
        bytes.append(block, static_cast<std::size_t>(n));
        if (bytes.size() > frame_header_size + max_frame_body)
            return Error{Fault::limit, "a message that is too long"};
    }
    if (bytes.size() < frame_header_size)
        return Error{Fault::malformed, "no message"};
    TRY(const FrameHeader header, parse_frame_header(std::string_view(bytes).substr(0, frame_header_size)));
    bytes.erase(0, frame_header_size);
    if (bytes.size() != header.body_size)
        return Error{Fault::malformed, "a message of another size than it says"};
    TRY_VOID(check_attributes(bytes));
    return Message(header.kind, std::move(bytes));
}

} // namespace bulkhead::ipc
