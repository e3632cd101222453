#include "smtp/data_reader.h"
#include "smtp/data_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using namespace std::string_literals;

// Lines as given, an incomplete part marked by a trailing '+'.
class Lines final : public DataSink
{
public:
    void line(std::string_view text, bool complete) override
    {
        EXPECT_EQ(text.find_first_of("\r\n"), std::string_view::npos);
        all.append(text).append(complete ? "|" : "+");
    }

    std::string all;
};

struct Outcome {
    std::string lines;
    std::string rest; // what was left behind the end
    bool finished = false;
    bool bare_newline = false;
    bool bare_return = false;
    std::uint64_t size = 0;
    bool operator==(const Outcome&) const = default;
};

// The bytes in two or three chunks, cut at the given places.
Outcome read(std::string_view bytes, std::size_t limit, std::size_t first, std::size_t second)
{
    DataReader reader(limit);
    Lines sink;
    Outcome out;
    for (const auto chunk :
         {bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)}) {
        const auto used = reader.feed(chunk, sink);
        EXPECT_TRUE(used == chunk.size() || reader.finished());
        out.rest.append(chunk.substr(used));
    }
    out.lines = sink.all;
    out.finished = reader.finished();
    out.bare_newline = reader.saw_bare_newline();
    out.bare_return = reader.saw_bare_return();
    out.size = reader.size();
    return out;
}

// The outcome, the same for every way to cut the bytes into three chunks.
Outcome read_all_ways(std::string_view bytes, std::size_t limit = default_line_length_limit)
{
    const Outcome whole = read(bytes, limit, 0, 0);
    for (std::size_t first = 0; first <= bytes.size(); ++first)
        for (std::size_t second = first; second <= bytes.size(); ++second)
            EXPECT_EQ(read(bytes, limit, first, second), whole)
                << testing::PrintToString(bytes) << " cut at " << first << " and " << second;
    return whole;
}

TEST(DataReader, TakesStuffedDotsOut)
{
    const auto out = read_all_ways("a\r\n..b\r\n.c\r\n\r\n...\r\n.\r\nQUIT\r\n");
    EXPECT_EQ(out.lines, "a|.b|c||..|");
    EXPECT_EQ(out.rest, "QUIT\r\n");
    EXPECT_TRUE(out.finished);
    EXPECT_FALSE(out.bare_newline || out.bare_return);
    EXPECT_EQ(out.size, 16u);
}

TEST(DataReader, EndsAtTheVeryBeginning)
{
    const auto out = read_all_ways(".\r\nRSET\r\n");
    EXPECT_TRUE(out.finished);
    EXPECT_EQ(out.lines, "");
    EXPECT_EQ(out.rest, "RSET\r\n");
}

struct Smuggled {
    std::string bytes; // sent as "a" + bytes + "b" CR LF . CR LF
    std::string lines;
};

// None of these ends the message, however it is cut; a smuggled command stays text.
TEST(DataReader, EndsAtNothingElse)
{
    const std::vector<Smuggled> rows = {
        {"\n.\n", "a|.|b|"},
        {"\n.\r\n", "a|.|b|"},
        {"\r\n.\n", "a|.|b|"},
        {"\r.\r", "a . b|"},
        {"\r.\r\n", "a .|b|"},
        {"\r.\n", "a .|b|"},
        {"\n.\r", "a| b|"},
        {"\r\n.\r", "a| b|"},
        {"\r\n.\r\r\n", "a| |b|"},
        {"\r\r\n.\r\r\n", "a | |b|"},
        {"\r\n\r.\r\n", "a| .|b|"},
        {"\r\n.\0\r\n"s, "a|\0|b|"s},
        {"\r\n.\v\r\n", "a|\v|b|"},
        {"\r\n. \r\n", "a| |b|"},
        {"\r\n ..\r\n", "a| ..|b|"},
        {"\n\r.\n\r", "a| .| b|"},
        {"\n\n.\n\n", "a||.||b|"},
        {"\n\n.\r\n", "a||.|b|"},
        {"\r\n.\n.\r\n", "a|.|.|b|"},
        {"\n.\r\n.\n", "a|.|.|b|"},
        {"\x85.\x85", "a\x85.\x85"
                      "b|"},
        {"\r\n\xe2\x80\xa8.\r\n", "a|\xe2\x80\xa8.|b|"},
        {"\n.\nMAIL FROM:<x@y>\n", "a|.|MAIL FROM:<x@y>|b|"},
        {"\n..\n", "a|.|b|"},
        {"\r\n..\r\n", "a|.|b|"},
    };
    for (const auto& row : rows) {
        const auto out = read_all_ways("a" + row.bytes + "b\r\n.\r\nX");
        EXPECT_EQ(out.lines, row.lines);
        EXPECT_EQ(out.rest, "X") << testing::PrintToString(row.bytes);
        EXPECT_TRUE(out.finished);
    }
}

TEST(DataReader, ADotLineWithBareLfFirstIsText)
{
    const auto out = read_all_ways(".\n.\r\n.\r\n");
    EXPECT_EQ(out.lines, ".|.|");
    EXPECT_TRUE(out.finished);
}

TEST(DataReader, TellsBareNewlinesAndReturns)
{
    EXPECT_TRUE(read_all_ways("a\nb\r\n.\r\n").bare_newline);
    EXPECT_FALSE(read_all_ways("a\nb\r\n.\r\n").bare_return);
    EXPECT_TRUE(read_all_ways("a\rb\r\n.\r\n").bare_return);
    EXPECT_FALSE(read_all_ways("a\rb\r\n.\r\n").bare_newline);
    EXPECT_TRUE(read_all_ways("a\r\r\n.\r\n").bare_return);
}

TEST(DataReader, CutsLongLinesIntoPartsOfTheLimit)
{
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"123\r\n", "123|"},
        {"1234\r\n", "1234|"},
        {"12345\r\n", "1234+5|"},
        {"12345678\r\n", "1234+5678|"},
        {"123456789\r\n", "1234+5678+9|"},
        {".12345\r\n", "1234+5|"},
        {".1234\r\n", "1234|"},
        {"1234\r5\r\n", "1234+ 5|"},
        {"1234\n", "1234|.|"},
        {"12345\n", "1234+5|.|"},
        {"1234.\r\n", "1234+.|"},
        {"123\r4\r\n", "123 +4|"},
        {"1234\r\r\n", "1234+ |"},
        {"....5678\r\n", "...5+678|"},
        {"12345678.\r\n", "1234+5678+.|"},
    };
    for (const auto& [bytes, lines] : rows) {
        const auto out = read_all_ways(bytes + ".\r\n", 4);
        EXPECT_EQ(out.lines, lines) << bytes;
        EXPECT_EQ(out.finished, bytes.ends_with("\r\n")) << bytes;
    }
}

TEST(DataReader, ALimitOfOneStillWorks)
{
    EXPECT_EQ(read_all_ways("..ab\r\nc\r\n.\r\n", 1).lines, ".+a+b|c|");
}

TEST(DataReader, KeepsNulAndEightBitBytes)
{
    EXPECT_EQ(read_all_ways("a\0\xff"
                            "b\r\n.\r\n"s)
                  .lines,
              "a\0\xff"
              "b|"s);
}

// A hostile stream without line ends is handed on and not collected.
TEST(DataReader, LongLinesComeWhileTheyArrive)
{
    DataReader reader;
    Lines sink;
    for (int i = 0; i < 100; ++i)
        reader.feed(std::string(4096, 'x'), sink);
    EXPECT_GT(sink.all.size(), 400'000u);
}

// All short texts over the bytes that matter, against a reader that looks at
// one byte at a time.
struct Slow {
    std::string lines;
    std::size_t used = 0;
    bool finished = false;
};

Slow slow_read(std::string_view bytes)
{
    Slow out;
    std::string line;
    bool after_crlf = true;
    while (out.used < bytes.size()) {
        const char c = bytes[out.used++];
        if (c != '\n') {
            line.push_back(c);
            continue;
        }
        const bool crlf = line.ends_with('\r');
        if (crlf)
            line.pop_back();
        if (line == "." && crlf && after_crlf) {
            out.finished = true;
            return out;
        }
        if (line.size() > 1 && line[0] == '.')
            line.erase(0, 1);
        for (char& byte : line)
            byte = byte == '\r' ? ' ' : byte;
        out.lines.append(line).append("|");
        line.clear();
        after_crlf = crlf;
    }
    return out;
}

TEST(DataReader, AgreesWithTheSlowReaderOnAllShortTexts)
{
    constexpr std::string_view alphabet = "\r\n.x";
    for (std::size_t code = 0; code < 4 * 4 * 4 * 4 * 4 * 4 * 4 * 4; ++code) {
        std::string bytes;
        for (std::size_t rest = code, i = 0; i < 8; ++i, rest /= 4)
            bytes.push_back(alphabet[rest % 4]);
        const Slow slow = slow_read(bytes);
        for (std::size_t cut = 0; cut <= bytes.size(); cut += 1 + (code % 3)) {
            const auto out = read(bytes, default_line_length_limit, cut, cut);
            ASSERT_EQ(out.lines, slow.lines) << testing::PrintToString(bytes) << cut;
            ASSERT_EQ(out.finished, slow.finished) << testing::PrintToString(bytes) << cut;
            ASSERT_EQ(out.rest, bytes.substr(slow.used)) << testing::PrintToString(bytes) << cut;
        }
    }
}

std::string written(const std::vector<std::string>& lines, std::size_t limit = 998)
{
    DataWriter writer(limit);
    std::string out;
    for (const auto& line : lines)
        writer.line(out, line);
    writer.finish(out);
    return out;
}

TEST(DataWriter, StuffsDotsAndEndsLines)
{
    EXPECT_EQ(written({"a", ".", "..b", ".c", ""}), "a\r\n..\r\n...b\r\n..c\r\n\r\n.\r\n");
    EXPECT_EQ(written({}), ".\r\n");
}

TEST(DataWriter, BreaksLongLines)
{
    EXPECT_EQ(written({"1234"}, 4), "1234\r\n.\r\n");
    EXPECT_EQ(written({"12345"}, 4), "1234\r\n 5\r\n.\r\n");
    EXPECT_EQ(written({"12345678"}, 4), "1234\r\n 567\r\n 8\r\n.\r\n");
    EXPECT_EQ(written({".2345"}, 4), "..234\r\n 5\r\n.\r\n");
    EXPECT_EQ(written({"1234.\r\n"}, 4), "1234\r\n .  \r\n.\r\n");
    EXPECT_EQ(written({std::string(5000, 'x')}, 0), std::string(5000, 'x') + "\r\n.\r\n");
}

TEST(DataWriter, TellsThatItBrokeALine)
{
    DataWriter writer;
    std::string out;
    writer.line(out, std::string(998, 'x'));
    EXPECT_FALSE(writer.broke_a_line());
    writer.line(out, std::string(999, 'x'));
    EXPECT_TRUE(writer.broke_a_line());
}

TEST(DataWriter, NothingInsideALineEndsIt)
{
    EXPECT_EQ(written({"a\r\n.\r\nMAIL\rb\n.\nc\0"s}), "a  .  MAIL b . c\r\n.\r\n");
}

TEST(DataWriter, LeavesOutNulAndHidesNoDotBehindIt)
{
    EXPECT_EQ(written({"nul \0 here"s}), "nul  here\r\n.\r\n");
    EXPECT_EQ(written({"\0.\0"s, "\0"s}), "..\r\n\r\n.\r\n");
    DataWriter writer;
    std::string out;
    writer.line(out, "\0"s, false);
    writer.line(out, ".");
    writer.finish(out);
    EXPECT_EQ(out, "..\r\n.\r\n");
}

TEST(DataWriter, JoinsParts)
{
    DataWriter writer;
    std::string out;
    writer.line(out, "", false);
    writer.line(out, ".a", false);
    writer.line(out, ".b", false);
    writer.line(out, "");
    writer.line(out, "open", false);
    writer.finish(out);
    EXPECT_EQ(out, "..a.b\r\nopen\r\n.\r\n");
}

// What a client writes is what a server reads, whatever the lines are.
class Collected final : public DataSink
{
public:
    void line(std::string_view text, bool complete) override
    {
        if (!inside_)
            lines.emplace_back();
        lines.back().append(text);
        inside_ = !complete;
    }

    std::vector<std::string> lines;

private:
    bool inside_ = false;
};

TEST(DataWriter, IsReadBackByTheReader)
{
    const std::vector<std::string> lines = {
        "", ".", "..", "a", ".\t", std::string(3000, '.'), std::string(4096, 'y')};
    const std::string bytes = written(lines, 0);
    DataReader reader;
    Collected sink;
    EXPECT_EQ(reader.feed(bytes, sink), bytes.size());
    EXPECT_TRUE(reader.finished());
    EXPECT_EQ(sink.lines, lines);
}

} // namespace
} // namespace bulkhead
