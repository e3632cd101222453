#include "packed_recipients.h"

#include <cstring>
#include <string>

namespace bulkhead
{

namespace
{

// Stands before the three strings.
struct Head {
    std::int64_t offset;
    std::uint32_t notify;
    std::uint32_t address, original, dsn_original; // lengths
};

void put(char*& to, const void* bytes, std::size_t size)
{
    std::memcpy(to, bytes, size);
    to += size;
}

std::string get(const char*& from, std::size_t size)
{
    const char* const begin = from;
    from += size;
    return std::string(begin, size);
}

} // namespace

void PackedRecipients::add(const ipc::DeliveryRecipient& recipient)
{
    const auto length = [](const std::string& text) { return static_cast<std::uint32_t>(text.size()); };
    const Head head{recipient.offset, recipient.notify, length(recipient.address), length(recipient.original),
                    length(recipient.dsn_original)};
    const std::size_t used = bytes_.size();
    bytes_.resize(used + sizeof head + head.address + head.original + head.dsn_original);
    char* to = bytes_.data() + used;
    put(to, &head, sizeof head);
    for (const std::string* const text : {&recipient.address, &recipient.original, &recipient.dsn_original})
        put(to, text->data(), text->size());
    ++size_;
}

std::vector<ipc::DeliveryRecipient> PackedRecipients::unpack() const
{
    std::vector<ipc::DeliveryRecipient> recipients;
    recipients.reserve(size_);
    const char* from = bytes_.data();
    for (std::uint32_t i = 0; i < size_; ++i) {
        Head head;
        std::memcpy(&head, from, sizeof head);
        from += sizeof head;
        ipc::DeliveryRecipient& recipient = recipients.emplace_back();
        recipient.offset = head.offset;
        recipient.notify = head.notify;
        recipient.address = get(from, head.address);
        recipient.original = get(from, head.original);
        recipient.dsn_original = get(from, head.dsn_original);
    }
    return recipients;
}

} // namespace bulkhead
