#include "spool/log_entry.h"

#include "spool/record.h"

#include <algorithm>
#include <cstring>

namespace bulkhead
{

namespace
{

constexpr std::string_view magic = "\xb5LG1";
constexpr std::size_t id_offset = 69;
constexpr std::uint32_t polynomial = 0x82f63b78; // Castagnoli, reflected

constexpr std::array<std::uint32_t, 256> make_table()
{
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) != 0 ? polynomial : 0);
        table[i] = value;
    }
    return table;
}

constexpr auto table = make_table();

std::uint32_t by_table(std::string_view bytes, std::uint32_t value)
{
    for (const char c : bytes)
        value = (value >> 8) ^ table[(value ^ static_cast<unsigned char>(c)) & 0xff];
    return value;
}

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(std::string_view bytes, std::uint32_t value)
{
    std::uint64_t wide = value;
    while (bytes.size() >= sizeof wide) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
        bytes.remove_prefix(sizeof word);
    }
    return by_table(bytes, static_cast<std::uint32_t>(wide));
}
#endif

template <typename Number> void put(char* at, Number number)
{
    for (std::size_t i = 0; i < sizeof number; ++i)
        at[i] = static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i));
}

template <typename Number> Number take(const char* at)
{
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
        number |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
    return static_cast<Number>(number);
}

// Where the next header may be, behind this place.
std::size_t next_candidate(std::string_view bytes, std::size_t at)
{
    do
        at = bytes.find(magic, at + 1);
    while (at != bytes.npos && at % 8 != 0);
    return std::min(at, bytes.size());
}

} // namespace

std::uint32_t checksum(std::string_view bytes, std::uint32_t before)
{
#if defined(__x86_64__)
    static const bool has_instruction = __builtin_cpu_supports("sse4.2");
    if (has_instruction)
        return ~by_instruction(bytes, ~before);
#endif
    return ~by_table(bytes, ~before);
}

void append_log_header(std::string& out, const LogKey& key, const LogHeader& header)
{
    std::array<char, log_header_bytes> bytes{};
    char* const at = bytes.data();
    std::memcpy(at, magic.data(), magic.size());
    std::memcpy(at + 8, key.data(), key.size());
    put(at + 24, header.image_checksum);
    put(at + 28, header.image_bytes);
    put(at + 32, header.serial);
    put(at + 40, header.generation);
    put(at + 48, header.batch);
    put(at + 56, header.time);
    put(at + 64, header.slot);
    const std::size_t length = std::min(header.id.size(), max_log_id);
    bytes[68] = static_cast<char>(length);
    std::memcpy(at + id_offset, header.id.data(), length);
    put(at + 4, checksum({at + 8, log_header_bytes - 8}));
    out.append(at, log_header_bytes);
}

bool parse_log_header(std::string_view bytes, const LogKey& key, LogHeader& header)
{
    if (bytes.size() < log_header_bytes || !bytes.starts_with(magic) ||
        bytes.substr(8, key.size()) != std::string_view(key.data(), key.size()))
        return false;
    const char* const at = bytes.data();
    if (take<std::uint32_t>(at + 4) != checksum(bytes.substr(8, log_header_bytes - 8)))
        return false;
    header.image_checksum = take<std::uint32_t>(at + 24);
    header.image_bytes = take<std::uint32_t>(at + 28);
    header.serial = take<std::uint64_t>(at + 32);
    header.generation = take<std::uint64_t>(at + 40);
    header.batch = take<std::uint64_t>(at + 48);
    header.time = take<std::int64_t>(at + 56);
    header.slot = take<std::uint32_t>(at + 64);
    const auto length = static_cast<unsigned char>(at[68]);
    if (header.image_bytes > max_log_image || length == 0 || length > max_log_id)
        return false;
    header.id.assign(at + id_offset, length);
    return true;
}

// A mark is one byte, the type of the recipient's record.
std::string without_marks(std::string_view image)
{
    std::string unmarked(image);
    RecordReader records(image);
    for (std::size_t at = 0;; at = records.offset()) {
        const auto record = records.next();
        if (!record || !*record)
            return unmarked;
        if ((*record)->is(RecordType::recipient_done))
            unmarked[at] = static_cast<char>(RecordType::recipient);
    }
}

bool is_intact(std::string_view image, std::uint32_t wanted)
{
    return checksum(image) == wanted || checksum(without_marks(image)) == wanted;
}

std::vector<LogEntry> read_log_segment(std::string_view bytes, const LogKey& key)
{
    std::vector<LogEntry> entries;
    std::uint64_t youngest = 0;
    for (std::size_t at = 0; at + log_header_bytes <= bytes.size();) {
        LogEntry entry;
        if (!parse_log_header(bytes.substr(at), key, entry.header) ||
            entry.header.image_bytes > bytes.size() - at - log_header_bytes) {
            at = next_candidate(bytes, at);
            continue;
        }
        entry.offset = at;
        entry.image = bytes.substr(at + log_header_bytes, entry.header.image_bytes);
        youngest = std::max(youngest, entry.header.generation);
        at += log_entry_bytes(entry.header.image_bytes);
        entries.push_back(std::move(entry));
    }
    std::erase_if(entries, [&](const LogEntry& entry) { return entry.header.generation != youngest; });
    for (LogEntry& entry : entries)
        entry.intact = is_intact(entry.image, entry.header.image_checksum);
    return entries;
}

} // namespace bulkhead
