#include "table/domain_list.h"

#include "table/network.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

struct Case {
    const char* test;
    std::string list;
    ListOptions options;
    std::string name;
    Membership answer;
};

class MatchLists : public testing::TestWithParam<Case>
{
};

TEST_P(MatchLists, Answer)
{
    const auto list = MatchList::open(GetParam().list, GetParam().options);
    ASSERT_TRUE(list) << list.error().context;
    EXPECT_EQ(list->match(GetParam().name).answer, GetParam().answer);
}

const ListOptions domains{.kind = ListKind::domains};
const ListOptions parents{.kind = ListKind::domains, .parent_matches_subdomains = true};
const ListOptions addresses{.kind = ListKind::addresses};
using enum Membership;

INSTANTIATE_TEST_SUITE_P(
    Lists, MatchLists,
    testing::Values(Case{"Literal", "a.example, B.example", {}, "b.EXAMPLE", yes},
                    Case{"Absent", "a.example", {}, "b", no},
                    Case{"StringsHaveNoSubdomains", ".a.example", {}, "x.a.example", no},
                    Case{"DottedCoversSubdomains", ".a.example", domains, "x.a.example", yes},
                    Case{"DottedIsNotTheDomain", ".a.example", domains, "a.example", no},
                    Case{"PlainDoesNotCover", "a.example", domains, "x.a.example", no},
                    Case{"PlainCoversWithParents", "a.example", parents, "x.a.example", yes},
                    Case{"NoPartOfALabel", "a.example", parents, "xa.example", no},
                    Case{"ExceptionFirst", "!x.a.example, .a.example", domains, "x.a.example", no},
                    Case{"ExceptionSpaced", "! x.a.example .a.example", domains, "x.a.example", no},
                    Case{"Table", "inline:{a.example=x}", {}, "a.example", yes},
                    Case{"TableParent", "inline:{.a.example=x}", domains, "x.a.example", yes},
                    Case{"TableParentPlain", "inline:{a.example=x}", parents, "x.a.example", yes},
                    Case{"Broken", "b.example fail:down", {}, "a", broken},
                    Case{"FoundBeforeBroken", "a fail:down", {}, "a", yes},
                    Case{"Anyone", "static:anyone", {}, "joe", yes},
                    Case{"Network", "127.0.0.0/8 [::1]/128", addresses, "127.1.2.3", yes},
                    Case{"Network6", "127.0.0.0/8 [::1]/128", addresses, "::1", yes},
                    Case{"Network6Mapped", "127.0.0.0/8", addresses, "::ffff:127.0.0.1", yes},
                    Case{"Network6WithBracketsOutside", "[2001:db8::/32]", addresses, "2001:db8::5", yes},
                    Case{"MappedNetwork", "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128", addresses,
                         "127.0.0.9", yes},
                    Case{"MappedNetworkAlone", "[::ffff:127.0.0.0]/104", addresses, "::ffff:127.0.0.9", yes},
                    Case{"OtherNetwork", "127.0.0.0/8", addresses, "10.0.0.1", no},
                    Case{"NetworkException", "!127.0.0.1, 127.0.0.0/8", addresses, "127.0.0.1", no},
                    Case{"NetworkTable", "inline:{10.0.0.1=x}", addresses, "10.0.0.1", yes},
                    Case{"Empty", "", domains, "a", no}),
    [](const auto& row) { return std::string(row.param.test); });

TEST(MatchList, OfHostsKnowsNamesAndAddresses)
{
    const ListOptions hosts{.kind = ListKind::hosts, .parent_matches_subdomains = true};
    const auto list =
        MatchList::open("a.test, !10.0.0.9, 10.0.0.0/8, !c.test, inline:{{192.0.2.1=x}}", hosts);
    ASSERT_TRUE(list) << list.error().context;
    EXPECT_EQ(list->match_either("x.a.test", "192.0.2.7").answer, yes);
    EXPECT_EQ(list->match_either("a.test", "10.0.0.9").answer, yes) << "the first element that matches";
    EXPECT_EQ(list->match_either("b.test", "10.0.0.9").answer, no);
    EXPECT_EQ(list->match_either("c.test", "10.0.0.8").answer, yes);
    EXPECT_EQ(list->match_either("c.test", "192.0.2.1").answer, no);
    EXPECT_EQ(list->match_either("b.test", "192.0.2.1").answer, yes);
    EXPECT_EQ(list->match_either("b.test", "").answer, no);
    EXPECT_EQ(list->match("x.a.test").answer, yes);
}

TEST(MatchList, ReadsFiles)
{
    const std::string path = testing::TempDir() + "/domains";
    std::ofstream(path) << "# ours\na.example\nb.example, c.example\n";
    const auto list = MatchList::open("z.example " + path);
    const auto except = MatchList::open("!" + path + " static:all");
    ASSERT_TRUE(list);
    EXPECT_FALSE(list->is_stale());
    std::filesystem::remove(path);
    EXPECT_TRUE(list->is_stale());
    EXPECT_TRUE(list->match("c.example"));
    EXPECT_TRUE(list->match("z.example"));
    EXPECT_FALSE(except->match("c.example"));
    EXPECT_TRUE(except->match("d.example"));
}

TEST(MatchList, WhatCannotBeReadIsBroken)
{
    const auto networks = MatchList::open("127.0.0.0/8 10.0.0.1/8 192.168.0.0/16",
                                          {.kind = ListKind::addresses, .parameter = "mynetworks"});
    ASSERT_TRUE(networks);
    EXPECT_TRUE(networks->match("127.0.0.1"));
    const ListMatch beyond = networks->match("192.168.0.1");
    EXPECT_TRUE(beyond.is_broken());
    EXPECT_EQ(beyond.reason,
              "mynetworks: non-null host address bits in \"10.0.0.1/8\", perhaps \"10.0.0.0/8\" is meant");

    const auto file = MatchList::open("here /nowhere/x");
    ASSERT_TRUE(file);
    EXPECT_TRUE(file->match("here"));
    EXPECT_TRUE(file->match("there").is_broken());
    EXPECT_FALSE(file->empty());
    EXPECT_TRUE(MatchList::open("!/nowhere/x static:all")->match("there").is_broken());
}

TEST(MatchList, AFileThatNamesItselfIsBroken)
{
    const std::string path = testing::TempDir() + "/selfish";
    std::ofstream(path) << "a.example\n" << path << "\nb.example\n";
    const auto list = MatchList::open(path);
    std::filesystem::remove(path);
    ASSERT_TRUE(list);
    EXPECT_TRUE(list->match("a.example"));
    EXPECT_TRUE(list->match("b.example").is_broken());
}

TEST(MatchList, ATableThatCannotBeOpenedIsBroken)
{
    const auto list = MatchList::open("here nosuch:x");
    ASSERT_TRUE(list);
    EXPECT_TRUE(list->match("here"));
    EXPECT_TRUE(list->match("there").is_broken());
}

TEST(IpNetwork, RefusesBadText)
{
    for (const char* bad :
         {"", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "[::1/129]", "name", "1.2.3.4/-1"})
        EXPECT_FALSE(IpNetwork::parse(bad)) << bad;
}

} // namespace
} // namespace bulkhead
