#include "routing/params.h"
#include "routing/resolver.h"
#include "table/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

using namespace bulkhead;
using ipc::AddressClass;
using ipc::RewriteContext;

namespace
{

CanonicalRules rules()
{
    CanonicalRules rules;
    rules.myorigin = "origin.test";
    rules.mydomain = "my.test";
    rules.append_dot_mydomain = true;
    return rules;
}

struct Tables {
    std::string mydestination = "mx.my.test, localhost.my.test";
    std::string virtual_alias_domains;
    std::string virtual_mailbox_domains;
    std::string relay_domains;
    std::string transport;
    std::string pairs;
    std::string sender_transport;
    std::string sender_relayhost;
    std::string relocated;
};

MatchList domains(const std::string& list)
{
    ListOptions options;
    options.kind = ListKind::domains;
    options.parent_matches_subdomains = true;
    return *MatchList::open(list, options);
}

Resolver resolver(const Tables& from, RoutingValues values = {})
{
    values.rules = rules();
    values.myhostname = "mx.my.test";
    values.recipient_delimiter = "+";
    RoutingTables tables;
    tables.local = *LocalDomains::open({from.mydestination, {"192.0.2.1", "2001:db8::1"}, {"198.51.100.7"}});
    tables.virtual_alias_domains = domains(from.virtual_alias_domains);
    tables.virtual_mailbox_domains = domains(from.virtual_mailbox_domains);
    tables.relay_domains = domains(from.relay_domains);
    tables.transport = TableList::open(from.transport);
    tables.sender_recipient_transport = TableList::open(from.pairs);
    tables.sender_default_transport = TableList::open(from.sender_transport);
    tables.sender_relayhost = TableList::open(from.sender_relayhost);
    tables.relocated = TableList::open(from.relocated);
    return Resolver(std::move(values), std::move(tables));
}

std::string shown(Resolver resolver, std::string_view sender, std::string_view recipient)
{
    const auto route = resolver.resolve(sender, recipient);
    if (!route)
        return "broken: " + route.error().context;
    return route->transport + ':' + route->nexthop + " <" + route->recipient + '>';
}

struct CanonicalRow {
    std::string_view name;
    RewriteContext context;
    std::string_view address;
    std::string_view expected;
};
class Canonical : public testing::TestWithParam<CanonicalRow>
{
};

TEST_P(Canonical, Form)
{
    EXPECT_EQ(canonical_form(rules(), GetParam().context, GetParam().address), GetParam().expected);
}

constexpr auto local = RewriteContext::local;
constexpr auto remote = RewriteContext::remote;
INSTANTIATE_TEST_SUITE_P(
    Addresses, Canonical,
    testing::Values(CanonicalRow{"Null", local, "", ""},
                    CanonicalRow{"Bare", local, "joe", "joe@origin.test"},
                    CanonicalRow{"ShortDomain", local, "joe@host", "joe@host.my.test"},
                    CanonicalRow{"Complete", local, "joe@a.test", "joe@a.test"},
                    CanonicalRow{"TrailingDot", local, "joe@a.test.", "joe@a.test"},
                    CanonicalRow{"Literal", local, "joe@[192.0.2.1]", "joe@[192.0.2.1]"},
                    CanonicalRow{"Bang", local, "a.test!b.test!joe", "b.test!joe@a.test"},
                    CanonicalRow{"BangBesideAt", local, "a!joe@b.test", "a!joe@b.test"},
                    CanonicalRow{"Percent", local, "joe%a%b.test", "joe%a@b.test"},
                    CanonicalRow{"PercentBesideAt", local, "joe%a@b.test", "joe%a@b.test"},
                    CanonicalRow{"Route", local, "@a.test,@b.test:joe@c.test", "joe@c.test"},
                    CanonicalRow{"LonelyPercent", local, "%", "%@origin.test"},
                    CanonicalRow{"NullDomain", local, "joe@", "joe@"},
                    CanonicalRow{"OnlyDots", local, "joe@..", "joe@"},
                    CanonicalRow{"RemoteBare", remote, "joe", "joe"},
                    CanonicalRow{"RemoteShort", remote, "joe@host", "joe@host"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(CanonicalForm, CompletesRemoteAddressesWithTheirOwnDomain)
{
    CanonicalRules own = rules();
    own.remote_domain = "domain.invalid";
    EXPECT_EQ(canonical_form(own, remote, "joe"), "joe@domain.invalid");
    EXPECT_EQ(canonical_form(own, remote, "joe@host"), "joe@host.domain.invalid");
}

TEST(CanonicalForm, LeavesOffWhatIsSwitchedOff)
{
    CanonicalRules off = rules();
    off.append_at_myorigin = off.append_dot_mydomain = off.swap_bangpath = off.allow_percent_hack = false;
    EXPECT_EQ(canonical_form(off, local, "a!joe%b"), "a!joe%b");
    EXPECT_EQ(canonical_form(off, local, "joe@host"), "joe@host");
}

TEST(Resolver, KnowsItsOwnDomains)
{
    EXPECT_EQ(shown(resolver({}), "", "joe@mx.my.test"), "local:mx.my.test <joe@mx.my.test>");
    EXPECT_EQ(shown(resolver({}), "", "joe@MX.My.test"), "local:mx.my.test <joe@MX.My.test>");
    EXPECT_EQ(shown(resolver({}), "", "joe@[192.0.2.1]"), "local:[192.0.2.1] <joe@[192.0.2.1]>");
    EXPECT_EQ(shown(resolver({}), "", "joe@[IPv6:2001:DB8:0::1]"),
              "local:[ipv6:2001:db8:0::1] <joe@[IPv6:2001:DB8:0::1]>");
    EXPECT_EQ(shown(resolver({}), "", "joe@[198.51.100.7]"), "local:[198.51.100.7] <joe@[198.51.100.7]>");
    EXPECT_EQ(shown(resolver({}), "", "joe@[192.0.2.2]"), "smtp:[192.0.2.2] <joe@[192.0.2.2]>");
}

TEST(Resolver, SendsNullAddressesToTheirRecipient)
{
    EXPECT_EQ(shown(resolver({}), "", ""), "smtp:origin.test <MAILER-DAEMON@origin.test>");
}

TEST(Resolver, AsksTheClassesInOrder)
{
    Tables tables;
    tables.virtual_alias_domains = "alias.test, both.test";
    tables.virtual_mailbox_domains = "box.test, both.test";
    tables.relay_domains = "relayed.test, box.test";
    RoutingValues values;
    values.virtual_transport = "lmtp:unix:private/lmtp";
    values.relayhost = "[gate.test]";
    EXPECT_EQ(shown(resolver(tables, values), "", "joe@alias.test"),
              "error:5.1.1 User unknown in virtual alias table <joe@alias.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "joe@both.test"),
              "error:5.1.1 User unknown in virtual alias table <joe@both.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "joe@box.test"), "lmtp:unix:private/lmtp <joe@box.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "joe@sub.relayed.test"),
              "relay:[gate.test] <joe@sub.relayed.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "joe@else.test"), "smtp:[gate.test] <joe@else.test>");
}

TEST(Resolver, ChoosesTheRelayBySender)
{
    Tables tables;
    tables.sender_relayhost =
        "inline:{a@x.test=[a.relay], @y.test=[y.relay], z@x.test=DUNNO, <>=[null.relay]}";
    tables.sender_transport = "inline:{@t.test=slow:[t.relay]:26, @only.test=slow:}";
    RoutingValues values;
    values.relayhost = "[gate.test]";
    EXPECT_EQ(shown(resolver(tables, values), "a@x.test", "j@e.test"), "smtp:[a.relay] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "b@Y.test", "j@e.test"), "smtp:[y.relay] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "z@x.test", "j@e.test"), "smtp:[gate.test] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "j@e.test"), "smtp:[null.relay] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "q@t.test", "j@e.test"), "slow:[t.relay]:26 <j@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "q@only.test", "j@e.test"), "slow:[gate.test] <j@e.test>");
}

TEST(Resolver, LetsTransportMapsOverrideTheClass)
{
    Tables tables;
    tables.transport =
        "inline:{joe@e.test=special:, e.test=:[hop.test], .e.test=slow:[sub.test]:25, k.test=:, "
        "mx.my.test=lmtp:unix:x}";
    RoutingValues values;
    values.relayhost = "[gate.test]";
    EXPECT_EQ(shown(resolver(tables, values), "", "joe+x@e.test"), "special:e.test <joe+x@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "ann@e.test"), "smtp:[hop.test] <ann@e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "ann@s.e.test"), "slow:[sub.test]:25 <ann@s.e.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "ann@k.test"), "smtp:[gate.test] <ann@k.test>");
    EXPECT_EQ(shown(resolver(tables, values), "", "ann@mx.my.test"), "lmtp:unix:x <ann@mx.my.test>");
}

TEST(Resolver, AsksPairsBeforeTransportMaps)
{
    Tables tables;
    tables.transport = "inline:{*=all:}";
    tables.pairs = "inline:{boss@x.test>e.test=fast:[a], .x.test>*=sub:, <>>e.test=notices:[n]}";
    EXPECT_EQ(shown(resolver(tables), "boss@x.test", "j@e.test"), "fast:[a] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables), "any@s.x.test", "j@q.test"), "sub:q.test <j@q.test>");
    EXPECT_EQ(shown(resolver(tables), "", "j@e.test"), "notices:[n] <j@e.test>");
    EXPECT_EQ(shown(resolver(tables), "any@y.test", "j@e.test"), "all:e.test <j@e.test>");
}

struct PairRow {
    std::string_view name;
    std::string_view sender;
    std::string_view recipient;
    bool parents_plain;
    std::vector<std::string> keys;
};
class PairKeys : public testing::TestWithParam<PairRow>
{
};

TEST_P(PairKeys, GoFromTheMostToTheLeastSpecial)
{
    AddressKeyOptions options;
    options.recipient_delimiter = "+";
    options.parent_matches_subdomains = GetParam().parents_plain;
    std::vector<std::string> keys;
    for (const AddressKey& key : pair_keys(GetParam().sender, GetParam().recipient, options))
        keys.push_back(key.key);
    EXPECT_THAT(keys, testing::ElementsAreArray(GetParam().keys));
}

INSTANTIATE_TEST_SUITE_P(
    Addresses, PairKeys,
    testing::Values(
        PairRow{"Plain",
                "s@X.test",
                "r@e.test",
                false,
                {"s@x.test>r@e.test", "s@x.test>e.test", "s@x.test>.test", "s@x.test>*", "x.test>r@e.test",
                 "x.test>e.test", "x.test>.test", "x.test>*", ".test>r@e.test", ".test>e.test", ".test>.test",
                 ".test>*", "*>r@e.test", "*>e.test", "*>.test", "*>*"}},
        PairRow{"NullSender",
                "",
                "r@a.e.test",
                false,
                {"<>>r@a.e.test", "<>>a.e.test", "<>>.e.test", "<>>.test", "<>>*", "*>r@a.e.test",
                 "*>a.e.test", "*>.e.test", "*>.test", "*>*"}},
        PairRow{"Extension",
                "s+x@e",
                "r+y@f",
                false,
                {"s+x@e>r+y@f", "s+x@e>r@f", "s+x@e>f", "s+x@e>*", "s@e>r+y@f", "s@e>r@f", "s@e>f", "s@e>*",
                 "e>r+y@f", "e>r@f", "e>f", "e>*", "*>r+y@f", "*>r@f", "*>f", "*>*"}},
        PairRow{"PlainParents",
                "",
                "r@a.e.test",
                true,
                {"<>>r@a.e.test", "<>>a.e.test", "<>>e.test", "<>>test", "<>>*", "*>r@a.e.test", "*>a.e.test",
                 "*>e.test", "*>test", "*>*"}}),
    [](const auto& row) { return std::string(row.param.name); });

// Each row takes the most special entry that is left away from the one before.
TEST(Resolver, PrefersTheSendersSpecialEntries)
{
    const std::vector<std::string> entries{"s@x.test>r@e.test=t1:", "s@x.test>e.test=t2:",
                                           "s@x.test>.test=t3:",    "s@x.test>*=t4:",
                                           "x.test>r@e.test=t5:",   "x.test>*=t6:",
                                           ".test>r@e.test=t7:",    "*>r@e.test=t8:",
                                           "*>e.test=t9:",          "*>*=t10:"};
    for (std::size_t first = 0; first < entries.size(); ++first) {
        Tables tables;
        tables.pairs = "inline:{";
        for (std::size_t i = entries.size(); i-- > first;)
            tables.pairs += entries[i] + (i > first ? ", " : "}");
        EXPECT_EQ(shown(resolver(tables), "s@x.test", "r@e.test"),
                  "t" + std::to_string(first + 1) + ":e.test <r@e.test>");
    }
}

// A pattern table sees one key, the two whole addresses.
TEST(Resolver, ShowsPatternTablesTheWholePair)
{
    Tables tables;
    tables.pairs = "regexp:" TEST_DATA "/pairs.regexp";
    EXPECT_EQ(shown(resolver(tables), "news@x.test", "r@e.test"), "slow:[hop] <r@e.test>");
    EXPECT_EQ(shown(resolver(tables), "boss@x.test", "r@e.test"), "smtp:e.test <r@e.test>");
}

TEST(Resolver, ChoosesForEachRecipientAlone)
{
    Tables tables;
    tables.pairs = "inline:{x.test>slow.test=crawl:[c]}";
    EXPECT_EQ(shown(resolver(tables), "s@x.test", "r@slow.test"), "crawl:[c] <r@slow.test>");
    EXPECT_EQ(shown(resolver(tables), "s@x.test", "r@quick.test"), "smtp:quick.test <r@quick.test>");
    EXPECT_EQ(shown(resolver(tables), "s@y.test", "r@slow.test"), "smtp:slow.test <r@slow.test>");
}

TEST(Resolver, TellsWhoDecided)
{
    std::vector<std::string> told;
    listen_to_decisions([&](const Decision& one) {
        told.push_back(fmt::format("{} {} {} {}", one.parameter, one.table, one.key, one.value));
    });
    struct Named {
        std::string list;
        std::string_view name() const { return "sender_recipient_transport_maps"; }
        const std::string& operator()() const { return list; }
    };
    RoutingTables tables;
    tables.local = *LocalDomains::open({"", {}, {}});
    tables.sender_recipient_transport = TableList::open(Named{"inline:{x.test>*=slow:}"});
    RoutingValues values;
    values.relayhost = "[gate]";
    Resolver resolver(std::move(values), std::move(tables));
    const auto route = resolver.resolve("s@x.test", "r@e.test");
    listen_to_decisions({});
    ASSERT_TRUE(route);
    EXPECT_THAT(
        told, testing::ElementsAre("default_transport   smtp", "relayhost   [gate]",
                                   "sender_recipient_transport_maps inline:{x.test>*=slow:} x.test>* slow:"));
}

TEST(Resolver, TellsWhereAUserHasGone)
{
    Tables tables;
    tables.relocated = "inline:{joe@mx.my.test=joe@new.test, ann=ann@new.test}";
    EXPECT_EQ(shown(resolver(tables), "", "joe@mx.my.test"),
              "error:5.1.6 User has moved to joe@new.test <joe@mx.my.test>");
    EXPECT_EQ(shown(resolver(tables), "", "ann@mx.my.test"),
              "error:5.1.6 User has moved to ann@new.test <ann@mx.my.test>");
    EXPECT_EQ(shown(resolver(tables), "", "ann@e.test"), "smtp:e.test <ann@e.test>");
}

TEST(Resolver, FollowsRoutesThroughItself)
{
    EXPECT_EQ(shown(resolver({}), "", "joe%e.test@mx.my.test"), "smtp:e.test <joe@e.test>");
    EXPECT_EQ(shown(resolver({}), "", "e.test!joe@mx.my.test"), "smtp:e.test <joe@e.test>");
    EXPECT_EQ(shown(resolver({}), "", "joe@e.test@mx.my.test"), "smtp:e.test <joe@e.test>");
    EXPECT_EQ(shown(resolver({}), "", "joe%e.test@other.test"), "smtp:other.test <joe%e.test@other.test>");
    RoutingValues values;
    values.resolve_dequoted_address = false;
    EXPECT_EQ(shown(resolver({}, values), "", "joe@e.test@mx.my.test"),
              "local:mx.my.test <joe@e.test@mx.my.test>");
}

TEST(Resolver, RefusesWhatIsNoAddress)
{
    for (const std::string_view address :
         {"joe@", "joe@1.2.3.4", "joe@[1.2.3]", "joe@a..b", "@", "-joe@e.test", "-joe"})
        EXPECT_TRUE(shown(resolver({}), "", address).starts_with("error:5.1.3 bad address syntax"))
            << address;
    RoutingValues values;
    values.resolve_null_domain = values.resolve_numeric_domain = true;
    values.allow_min_user = true;
    EXPECT_EQ(shown(resolver({}, values), "", "-joe@e.test"), "smtp:e.test <-joe@e.test>");
    EXPECT_EQ(shown(resolver({}, values), "", "joe@"), "local:mx.my.test <joe@mx.my.test>");
    EXPECT_EQ(shown(resolver({}, values), "", "joe@1.2.3.4"), "smtp:[1.2.3.4] <joe@1.2.3.4>");
}

TEST(Resolver, MakesABrokenTableATemporaryFailure)
{
    for (std::string Tables::* member :
         {&Tables::mydestination, &Tables::virtual_alias_domains, &Tables::virtual_mailbox_domains,
          &Tables::relay_domains, &Tables::transport, &Tables::pairs, &Tables::sender_transport,
          &Tables::sender_relayhost, &Tables::relocated}) {
        Tables tables;
        tables.*member = "fail:down";
        EXPECT_TRUE(shown(resolver(tables), "a@x.test", "joe@e.test").starts_with("broken: "));
    }
}

TEST(RewriteParams, AgreeWithTheTableOfNames)
{
    EXPECT_THAT(RewriteParams().disagreements(), testing::ElementsAre());
}

} // namespace
