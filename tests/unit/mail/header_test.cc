#include "mail/header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using Line = HeaderReader::Line;

TEST(HeaderFieldName, IsWhatStandsBeforeTheColon)
{
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"Subject: x", "Subject"},
        {"X-A:", "X-A"},
        {"To : x", "To"},
        {"To\t: x", "To"},
        {": x", ""},
        {"no colon", ""},
        {" To: x", ""},
        {"", ""},
        {"a b: c", ""},
        {"From me@x Mon: y", ""},
        {"T\xc3\xb6: x", ""},
        {"a\x01: b", ""},
        {"http://x", "http"},
    };
    for (const auto& [line, name] : rows)
        EXPECT_EQ(header_field_name(line), name) << line;
}

TEST(Unfold, KeepsTheBlank)
{
    EXPECT_EQ(unfold("Subject: a\n b\r\n\tc"), "Subject: a b\tc");
}

// All fields of the lines, and how the last line was judged.
struct Read {
    std::vector<std::string> fields;
    Line last = Line::header;
};

Read read(const std::vector<std::string>& lines, std::size_t limit = default_header_size_limit)
{
    HeaderReader reader(limit);
    Read out;
    const auto collect = [&] {
        while (auto field = reader.take())
            out.fields.push_back(field->name + "|" + field->raw);
    };
    for (const auto& line : lines) {
        out.last = reader.add(line);
        collect();
        if (out.last != Line::header)
            return out;
    }
    reader.finish();
    collect();
    return out;
}

TEST(HeaderReader, JoinsFoldedLines)
{
    const auto got = read({"A: 1", " 2", "\t3", "B: x", ""});
    EXPECT_EQ(got.fields, (std::vector<std::string>{"A|A: 1\n 2\n\t3", "B|B: x"}));
    EXPECT_EQ(got.last, Line::blank);
}

TEST(HeaderReader, EndsAtTextThatIsNoHeader)
{
    const auto got = read({"A: 1", "hello world"});
    EXPECT_EQ(got.fields, (std::vector<std::string>{"A|A: 1"}));
    EXPECT_EQ(got.last, Line::body);
}

TEST(HeaderReader, TakesNoFoldedLineAsTheFirst)
{
    EXPECT_EQ(read({" A: 1"}).last, Line::body);
}

TEST(HeaderReader, GivesTheLastFieldAtTheEnd)
{
    EXPECT_EQ(read({"A: 1"}).fields, (std::vector<std::string>{"A|A: 1"}));
}

TEST(HeaderReader, CutsAtTheLimitAndStaysCut)
{
    EXPECT_EQ(read({"A: 123456", " 7", "B: 1"}, 6).fields, (std::vector<std::string>{"A|A: 123", "B|B: 1"}));
}

TEST(HeaderReader, JoinsPartsOfALongLine)
{
    HeaderReader reader;
    reader.add("A: 1", false);
    reader.add("B: 2", false);
    reader.add("", true);
    reader.add("C: 3");
    EXPECT_EQ(reader.take()->raw, "A: 1B: 2");
    reader.finish();
    EXPECT_EQ(reader.take()->raw, "C: 3");
    EXPECT_FALSE(reader.take());
}

TEST(HeaderField, BodyIsBehindTheColon)
{
    HeaderReader reader;
    reader.add("Subject: a: b");
    reader.finish();
    const auto field = reader.take();
    EXPECT_EQ(field->body(), " a: b");
    EXPECT_TRUE(field->is("SUBJECT"));
}

} // namespace
} // namespace bulkhead
