#include "table/address_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;

std::vector<std::string> names(const std::vector<AddressKey>& keys)
{
    std::vector<std::string> out;
    for (const AddressKey& key : keys)
        out.push_back((key.partial ? "~" : "") + key.key);
    return out;
}

const AddressKeyOptions plus{.recipient_delimiter = "+",
                             .is_local = [](std::string_view d) { return d == "here"; }};

TEST(MappingKeys, WithExtensionInALocalDomain)
{
    EXPECT_THAT(names(mapping_keys("User+Ext@here", plus)),
                ElementsAre("user+ext@here", "~user@here", "~user+ext", "~user", "~@here"));
}

TEST(MappingKeys, ElsewhereThereIsNoBareUser)
{
    EXPECT_THAT(names(mapping_keys("user@there", plus)), ElementsAre("user@there", "~@there"));
}

TEST(MappingKeys, WithoutDelimiterThereIsNoExtension)
{
    EXPECT_THAT(names(mapping_keys("user+ext@there", {})), ElementsAre("user+ext@there", "~@there"));
}

TEST(MappingKeys, TellWhatWasCutOff)
{
    const auto keys = mapping_keys("user+ext@there", plus);
    EXPECT_EQ(keys[0].extension, "");
    EXPECT_EQ(keys[1].extension, "+ext");
}

TEST(MappingKeys, ReservedNamesKeepTheirDashes)
{
    const AddressKeyOptions dash{.recipient_delimiter = "-"};
    EXPECT_THAT(names(mapping_keys("owner-list@x", dash)), ElementsAre("owner-list@x", "~@x"));
    EXPECT_THAT(names(mapping_keys("list-request@x", dash)), ElementsAre("list-request@x", "~@x"));
    EXPECT_THAT(names(mapping_keys("mailer-daemon@x", dash)), ElementsAre("mailer-daemon@x", "~@x"));
    EXPECT_THAT(names(mapping_keys("-user@x", dash)), ElementsAre("-user@x", "~@x"));
}

TEST(TransportKeys, FromTheAddressToTheWildcard)
{
    EXPECT_THAT(names(transport_keys("user+x@a.b.c", "<>", plus)),
                ElementsAre("user+x@a.b.c", "~user@a.b.c", "~a.b.c", "~.b.c", "~.c", "~*"));
    AddressKeyOptions parents = plus;
    parents.parent_matches_subdomains = true;
    EXPECT_THAT(names(transport_keys("user@a.b.c", "<>", parents)),
                ElementsAre("user@a.b.c", "~a.b.c", "~b.c", "~c", "~*"));
    EXPECT_THAT(names(transport_keys("", "<>", plus)), ElementsAre("<>", "~*"));
    EXPECT_THAT(names(transport_keys("u@[192.0.2.1]", "<>", plus)),
                ElementsAre("u@[192.0.2.1]", "~[192.0.2.1]", "~*"));
}

TEST(AccessKeys, OfAnAddress)
{
    EXPECT_THAT(names(access_address_keys("user+x@b.c", "<>", plus)),
                ElementsAre("user+x@b.c", "~user@b.c", "~b.c", "~.c", "~user+x@", "~user@"));
    EXPECT_THAT(names(access_address_keys("", "<>", plus)), ElementsAre("<>"));
}

TEST(AccessKeys, OfAHostAndOfANetwork)
{
    EXPECT_THAT(names(access_domain_keys("A.b.c", {.parent_matches_subdomains = true})),
                ElementsAre("a.b.c", "~b.c", "~c"));
    EXPECT_THAT(names(access_network_keys("192.0.2.1")),
                ElementsAre("192.0.2.1", "~192.0.2", "~192.0", "~192"));
    EXPECT_THAT(names(access_network_keys("2001:db8::1")), ElementsAre("2001:db8::1", "~2001:db8", "~2001"));
    EXPECT_THAT(names(access_network_keys("::1")), ElementsAre("::1"));
}

TEST(FindFirst, TellsWhichKeyHit)
{
    auto tables = TableList::open("inline:{user@there=x}");
    AddressKey matched;
    const Lookup answer = find_first(tables, mapping_keys("user+ext@there", plus), &matched);
    ASSERT_TRUE(answer.is_found());
    EXPECT_EQ(matched.key, "user@there");
    EXPECT_EQ(matched.extension, "+ext");
}

TEST(FindFirst, BrokenStops)
{
    auto tables = TableList::open("fail:x inline:{user@there=x}");
    EXPECT_TRUE(find_first(tables, mapping_keys("user@there", plus)).is_broken());
}

} // namespace
} // namespace bulkhead
