#include "spool/log_entry.h"

#include "support.h"

namespace bulkhead
{

namespace
{

const LogKey key{'a', 'b', 'c'};

std::string entry(const std::string& id, const std::string& image, std::uint64_t generation = 1)
{
    LogHeader header;
    header.id = id;
    header.serial = 7;
    header.generation = generation;
    header.image_bytes = static_cast<std::uint32_t>(image.size());
    header.image_checksum = checksum(image);
    std::string bytes;
    append_log_header(bytes, key, header);
    bytes += image;
    bytes.resize(log_entry_bytes(image.size()));
    return bytes;
}

std::string page(std::string bytes)
{
    bytes.resize((bytes.size() + log_page - 1) / log_page * log_page);
    return bytes;
}

} // namespace

TEST(LogEntry, ChecksumIsCrc32c)
{
    EXPECT_EQ(checksum("123456789"), 0xe3069283u);
    EXPECT_EQ(checksum("6789", checksum("12345")), 0xe3069283u);
    EXPECT_EQ(checksum(""), 0u);
}

TEST(LogEntry, ReadsWhatWasWritten)
{
    const std::string bytes = page(entry("4F2C1", "one") + entry("4F2C2", std::string(5000, 'x')));
    const auto entries = read_log_segment(bytes, key);
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0].header.id, "4F2C1");
    EXPECT_EQ(entries[0].image, "one");
    EXPECT_EQ(entries[1].offset, log_entry_bytes(3));
    EXPECT_TRUE(entries[1].intact);
}

TEST(LogEntry, AnEarlierUseOfTheSegmentIsNotSeen)
{
    const std::string bytes = page(entry("NEW", "new", 9)) + page(entry("OLD", "old", 8));
    const auto entries = read_log_segment(bytes, key);
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].header.id, "NEW");
}

TEST(LogEntry, DamageCostsOneEntry)
{
    std::string bytes = page(entry("A", "first") + entry("B", "second") + entry("C", "third"));
    bytes[log_entry_bytes(5) + 20] ^= 1; // the header of B
    const auto entries = read_log_segment(bytes, key);
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[1].header.id, "C");
}

TEST(LogEntry, AMessageCannotForgeAnEntry)
{
    LogKey other = key;
    other[15] = 'x';
    EXPECT_TRUE(read_log_segment(page(entry("A", "image")), other).empty());
}

TEST(LogEntry, MarksAreNoDamage)
{
    std::string image = message("a@b.example", {"c@d.example", "e@f.example"}, {"text"});
    const std::uint32_t sum = checksum(image);
    const auto at = image.find(std::string("R\x0b") + "c@d.example");
    ASSERT_NE(at, image.npos);
    image[at] = 'D';
    EXPECT_TRUE(is_intact(image, sum));
    image[at + 3] ^= 1;
    EXPECT_FALSE(is_intact(image, sum));
}

} // namespace bulkhead
