#include "mail/addrlist.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using Strings = std::vector<std::string>;

struct Row {
    std::string text;
    Strings addresses;
    Strings ranges; // what stands in the text at [begin, end)
};

TEST(AddressList, FindsAddressesAndTheirPlaces)
{
    const std::vector<Row> rows = {
        {"", {}, {}},
        {"a@b", {"a@b"}, {"a@b"}},
        {" a@b, c@d ", {"a@b", "c@d"}, {"a@b", "c@d"}},
        {"root", {"root"}, {"root"}},
        {"Joe User <joe@x.test>", {"joe@x.test"}, {"joe@x.test"}},
        {"\"User, Joe\" <joe@x.test>, b@c", {"joe@x.test", "b@c"}, {"joe@x.test", "b@c"}},
        {"joe@x.test (Joe (the) User)", {"joe@x.test"}, {"joe@x.test"}},
        {"(first, <a@b>) c@d", {"c@d"}, {"c@d"}},
        {"a (odd) @ b . c", {"a@b.c"}, {"a (odd) @ b . c"}},
        {"\"a b\"@c", {"a b@c"}, {"\"a b\"@c"}},
        {"X <\"a\\\"b\"@c>", {"a\"b@c"}, {"\"a\\\"b\"@c"}},
        {"<@r1,@r2:a@b>", {"a@b"}, {"@r1,@r2:a@b"}},
        {"friends: a@b, C <c@d>;, e@f", {"a@b", "c@d", "e@f"}, {"a@b", "c@d", "e@f"}},
        {"undisclosed-recipients:;", {}, {}},
        {"undisclosed-recipients: ;", {}, {}},
        {"a@b,\n\tc@d", {"a@b", "c@d"}, {"a@b", "c@d"}},
        {"=?utf-8?q?J=C3=B6?= <a@b>", {"a@b"}, {"a@b"}},
        {"a@[192.0.2.1]", {"a@[192.0.2.1]"}, {"a@[192.0.2.1]"}},
        {"<>", {""}, {""}},
        {"a@b c@d", {"a@b", "c@d"}, {"a@b", "c@d"}},
        {",, a@b ,,", {"a@b"}, {"a@b"}},
        {"A <a@b, C <c@d>", {"a@b", "c@d"}, {"a@b", "c@d"}},
        {"A <a@b", {"a@b"}, {"a@b"}},
        {"J\xc3\xb6 <j\xc3\xb6@b>", {"j\xc3\xb6@b"}, {"j\xc3\xb6@b"}},
        {"a%b!c@d", {"a%b!c@d"}, {"a%b!c@d"}},
    };
    for (const auto& row : rows) {
        const auto list = parse_address_list(row.text);
        ASSERT_TRUE(list) << row.text;
        Strings addresses;
        Strings ranges;
        for (const auto& entry : list->addresses) {
            addresses.push_back(entry.address);
            ranges.push_back(row.text.substr(entry.begin, entry.end - entry.begin));
        }
        EXPECT_EQ(addresses, row.addresses) << row.text;
        EXPECT_EQ(ranges, row.ranges) << row.text;
        EXPECT_EQ(list->malformed, 0u) << row.text;
    }
}

TEST(AddressList, PassesOverWhatIsNoAddress)
{
    const std::vector<std::string> rows = {
        "Joe User, a@b", "a@b@c, a@b",   "X <a b>, a@b", "@x, a@b",      "a@, a@b",    "<@r>, a@b",
        "\\, a@b",       "\"x@y\", a@b", "x@\"y\", a@b", "x@[y@z], a@b", "a > b, a@b", "X <\x01@b>, a@b"};
    for (const auto& text : rows) {
        const auto list = parse_address_list(text);
        ASSERT_TRUE(list) << text;
        EXPECT_EQ(list->malformed, 1u) << text;
        ASSERT_EQ(list->addresses.size(), 1u) << text;
        EXPECT_EQ(list->addresses[0].address, "a@b") << text;
    }
}

TEST(AddressList, KnowsGroups)
{
    EXPECT_TRUE(parse_address_list("undisclosed-recipients:;")->has_group);
    EXPECT_FALSE(parse_address_list("a@b")->has_group);
}

TEST(AddressList, HoldsItsLimits)
{
    EXPECT_EQ(parse_address_list("a,b,c", {2, 50}).error().fault, Fault::limit);
    EXPECT_EQ(parse_address_list(std::string(100, '(')).error().fault, Fault::limit);
    EXPECT_TRUE(parse_address_list(std::string(50, '(')));
}

} // namespace
} // namespace bulkhead
