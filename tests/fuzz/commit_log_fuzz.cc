// Any bytes as a segment of the commit log: no crash, every entry lies inside, and what was
// appended in front of the bytes is found whatever follows.
#include "spool/log_entry.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

// The fuzzer cannot guess a checksum: give it headers that are right.
static std::string entry_of(std::string_view image, const LogKey& key)
{
    LogHeader header;
    header.id = "4F2C1";
    header.serial = header.batch = 1;
    header.generation = UINT64_MAX;
    header.image_bytes = static_cast<std::uint32_t>(image.size());
    header.image_checksum = checksum(image);
    std::string bytes;
    append_log_header(bytes, key, header);
    bytes += image;
    bytes.resize(log_entry_bytes(image.size()));
    return bytes;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    LogKey key{};
    if (size >= 24)
        bytes.copy(key.data(), key.size(), 8);
    for (const LogEntry& entry : read_log_segment(bytes, key))
        require(entry.offset + log_header_bytes + entry.image.size() <= bytes.size());
    require(without_marks(bytes).size() == bytes.size());
    if (size > max_log_image)
        return 0;
    const std::string segment = entry_of(bytes, key) + std::string(bytes);
    const auto found = read_log_segment(segment, key);
    require(!found.empty() && found.front().intact && found.front().image == bytes);
    return 0;
}
