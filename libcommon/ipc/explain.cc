#include "ipc/explain.h"

#include "os/files.h"

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
    TRY(std::string bytes, read_descriptor(fd, frame_header_size + max_frame_body));
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
