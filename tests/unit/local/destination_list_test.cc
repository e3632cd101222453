// Right-hand sides of aliases and lines of .forward.
#include "destination_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{

using Kind = Destination::Kind;

void PrintTo(const Destination& each, std::ostream* out)
{
    *out << static_cast<int>(each.kind) << ':' << each.text;
}

namespace
{

using testing::ElementsAre;
using testing::IsEmpty;

struct Line {
    const char* name;
    const char* text;
    std::vector<Destination> wanted;
};

class Destinations : public testing::TestWithParam<Line>
{
};

TEST_P(Destinations, AreWhatTheLineSays)
{
    const auto found = parse_destinations(GetParam().text);
    ASSERT_TRUE(found) << found.error().context;
    EXPECT_EQ(*found, GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, Destinations,
    testing::Values(
        Line{"Addresses", "joe, ann@b.test", {{Kind::address, "joe"}, {Kind::address, "ann@b.test"}}},
        Line{"QuotedLocalPart", "\"a, b\"@c.test", {{Kind::address, "a, b@c.test"}}},
        Line{"Phrase", "Joe (the, user) <joe@b.test>", {{Kind::address, "joe@b.test"}}},
        Line{"QuotedCommand", "\"|/bin/cat -n, x\"", {{Kind::command, "/bin/cat -n, x"}}},
        Line{"BarOutside", "|\"/bin/echo a, b\"", {{Kind::command, "/bin/echo a, b"}}},
        Line{"BareCommand", "|/bin/cat", {{Kind::command, "/bin/cat"}}},
        Line{"QuotesOfTheCommand", "\"|/bin/echo \\\"a b\\\"\"", {{Kind::command, "/bin/echo \"a b\""}}},
        Line{"QuotesBehindABareBar", "|/bin/echo \"a, b\" c", {{Kind::command, "/bin/echo \"a, b\" c"}}},
        Line{"File", "/var/mail/x", {{Kind::file, "/var/mail/x"}}},
        Line{"QuotedFile", "\"/tmp/a b\"", {{Kind::file, "/tmp/a b"}}},
        Line{"SlashInAnAddress", "/x=y/@b.test", {{Kind::address, "/x=y/@b.test"}}},
        Line{"Include", ":include:/etc/list", {{Kind::include, "/etc/list"}}},
        Line{"Literal", "\\joe, ann", {{Kind::literal_user, "joe"}, {Kind::address, "ann"}}},
        Line{"Utf8", "j\xc3\xb6@b\xc3\xbc.test", {{Kind::address, "j\xc3\xb6@b\xc3\xbc.test"}}},
        Line{"EmptyParts", ", joe,,", {{Kind::address, "joe"}}}, Line{"Nothing", "  ", {}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Destinations, RefuseOpenQuotes)
{
    EXPECT_FALSE(parse_destinations("\"|/bin/cat"));
}

TEST(Destinations, HaveALimit)
{
    std::string line;
    for (std::size_t i = 0; i <= max_destinations; ++i)
        line += "a,";
    const auto found = parse_destinations(line);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().fault, Fault::limit);
}

TEST(DestinationFile, HasCommentsAndContinuedLines)
{
    const auto found = parse_destination_file("# a comment\njoe\r\n  , ann\n\n|/bin/cat\nlast");
    ASSERT_TRUE(found) << found.error().context;
    EXPECT_THAT(*found,
                ElementsAre(Destination{Kind::address, "joe"}, Destination{Kind::address, "ann"},
                            Destination{Kind::command, "/bin/cat"}, Destination{Kind::address, "last"}));
}

TEST(DestinationFile, OfCommentsOnlyNamesNobody)
{
    const auto found = parse_destination_file("# nothing\n\n");
    ASSERT_TRUE(found);
    EXPECT_THAT(*found, IsEmpty());
}

} // namespace
} // namespace bulkhead
