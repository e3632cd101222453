#include "spool/record.h"

#include "spool/size_record.h"

#include <gtest/gtest.h>

namespace bulkhead
{

using namespace std::literals;

struct BadRecord {
    const char* name;
    std::string_view bytes;
};

class RecordReaderRefuses : public testing::TestWithParam<BadRecord>
{
};

TEST_P(RecordReaderRefuses, BadBytes)
{
    RecordReader reader(GetParam().bytes);
    const auto record = reader.next();
    ASSERT_FALSE(record);
    EXPECT_EQ(record.error().fault, Fault::malformed);
}

INSTANTIATE_TEST_SUITE_P(Records, RecordReaderRefuses,
                         testing::Values(BadRecord{"NoLength", "N"sv}, BadRecord{"CutLength", "N\x80"sv},
                                         BadRecord{"LengthTooLong", "N\xff\xff\xff\xff\x7f"sv},
                                         BadRecord{"CutData", "N\x05"
                                                              "abc"sv}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Record, LengthIsSevenBitsPerByteLowFirst)
{
    std::string out;
    append_record(out, RecordType::text, std::string(50, 'x'));
    EXPECT_EQ(out.substr(0, 2), "N2");
    out.clear();
    append_record(out, RecordType::text, std::string(300, 'x'));
    EXPECT_EQ(out.substr(0, 3), "N\xac\x02"sv);
    for (const std::size_t size : {0u, 127u, 128u, 16383u, 16384u, 3'000'000u}) {
        out.clear();
        append_record(out, RecordType::text, std::string(size, 'x'));
        EXPECT_EQ(out.size(), encoded_size(size));
        EXPECT_EQ((*RecordReader(out).next())->data.size(), size);
    }
}

TEST(Record, EndOfBytesIsNoRecord)
{
    EXPECT_FALSE(*RecordReader("").next());
}

TEST(Record, PeekSaysHowMuchIsMissing)
{
    EXPECT_EQ(peek_record("N")->encoded, 0u);
    EXPECT_EQ(peek_record("N\x05"
                          "abc")
                  ->needed,
              7u);
    EXPECT_EQ(peek_record("N\x03"
                          "abcX")
                  ->encoded,
              5u);
    EXPECT_FALSE(peek_record("N\xff\xff\xff\xff\x01"));
}

static std::string types_and_sizes(std::string_view bytes)
{
    std::string shown;
    RecordReader reader(bytes);
    for (auto record = reader.next(); record && *record; record = reader.next())
        shown += static_cast<char>((*record)->type) + std::to_string((*record)->data.size()) + ' ';
    return shown;
}

TEST(Record, LongLinesAreCutAt2048)
{
    const auto stored = [](std::size_t size) {
        std::string out;
        append_text(out, std::string(size, 'y'));
        return types_and_sizes(out);
    };
    EXPECT_EQ(stored(0), "N0 ");
    EXPECT_EQ(stored(2048), "N2048 ");
    EXPECT_EQ(stored(2049), "L2048 N1 ");
    EXPECT_EQ(stored(5000), "L2048 L2048 N904 ");
}

TEST(Record, LineWithoutEndIsPartAndEmptyText)
{
    std::string out;
    append_unfinished_text(out, "last line");
    EXPECT_EQ(types_and_sizes(out), "L9 N0 ");
}

TEST(Record, FixedNumbers)
{
    std::string out;
    append_fixed_number(out, RecordType::warn_time, 1795346684);
    EXPECT_EQ(out, "W\x0f     1795346684");
    EXPECT_EQ(parse_fixed_number("             -1"), -1);
    EXPECT_EQ(parse_fixed_number("              0"), 0);
    for (const auto* bad : {"", "   ", "1 2", "-", "x", "99999999999999999999"})
        EXPECT_FALSE(parse_fixed_number(bad)) << bad;
}

TEST(Record, Attributes)
{
    std::string out;
    append_attribute(out, "encoding", "8bit");
    EXPECT_EQ(out, "A\x0d"
                   "encoding=8bit");
    EXPECT_EQ(parse_attribute("a=b=c")->value, "b=c");
    EXPECT_EQ(parse_attribute("encoding=")->value, "");
    EXPECT_FALSE(parse_attribute("=x"));
    EXPECT_FALSE(parse_attribute("x"));
}

TEST(SizeRecord, IsTheOneThatPostfixMade)
{
    std::string out;
    append_size_record(out, {354, 488, 4, 0, 354, 0});
    EXPECT_EQ(
        out,
        "C_            354             488               4               0             354               0");
    EXPECT_EQ(out.size(), size_record_bytes);
}

TEST(SizeRecord, ReadsOldForms)
{
    EXPECT_EQ(parse_size_record("10 20 3")->sizes, (MessageSizes{10, 20, 3, 0, 10, 0}));
    EXPECT_EQ(parse_size_record("10 20 3 31 0 127")->sizes, (MessageSizes{10, 20, 3, 31, 10, 63}));
    EXPECT_TRUE(parse_size_record("10")->needs_scan);
}

TEST(SizeRecord, RefusesNonsense)
{
    for (const auto* bad : {"", "10 20", "0 20 3", "10 0 3", "-1 20 3", "x", "10 20 3 32", "10 20 3 64 10 0",
                            "9999999999999999999 20 3 0 0 0"})
        EXPECT_FALSE(parse_size_record(bad)) << bad;
}

} // namespace bulkhead
