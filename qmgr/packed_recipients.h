// The recipients of a delivery request that waits: one behind the other in a single block of
// memory, because a hundred thousand of them may wait at a time.
#pragma once

#include "ipc/delivery.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bulkhead
{

class PackedRecipients
{
public:
    void add(const ipc::DeliveryRecipient& recipient);

    std::size_t size() const { return size_; }

    // In the order in which they were added.
    std::vector<ipc::DeliveryRecipient> unpack() const;

private:
    std::vector<char> bytes_;
    std::uint32_t size_ = 0; // recipients
};

} // namespace bulkhead
