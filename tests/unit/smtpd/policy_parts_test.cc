// The pure parts of policy: filters of DNS lists, policy servers' settings and answers.
#include "dns/dns_lists.h"
#include "policy_service.h"
#include "restrictions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

struct FilterCase {
    std::string_view list;
    std::string_view answer;
    bool counts;
};

TEST(DnsList, FiltersAnswers)
{
    for (const FilterCase& row : {
             FilterCase{"bl.test", "127.0.0.99", true},
             FilterCase{"bl.test=127.0.0.2", "127.0.0.2", true},
             FilterCase{"bl.test=127.0.0.2", "127.0.0.3", false},
             FilterCase{"bl.test=127.0.0.[2..11]", "127.0.0.11", true},
             FilterCase{"bl.test=127.0.0.[2..11]", "127.0.0.12", false},
             FilterCase{"bl.test=127.0.[1;3].[2;4..6]", "127.0.3.5", true},
             FilterCase{"bl.test=127.0.[1;3].[2;4..6]", "127.0.2.5", false},
             FilterCase{"bl.test=127.0.[1;3].[2;4..6]", "127.0.1.3", false},
         }) {
        const auto list = DnsList::parse(row.list);
        ASSERT_TRUE(list) << row.list;
        EXPECT_EQ(list->domain(), "bl.test");
        EXPECT_EQ(list->counts(*SocketAddress::parse(row.answer)), row.counts) << row.list << row.answer;
    }
}

TEST(DnsList, RefusesBadText)
{
    for (const char* text : {"", "=127.0.0.2", "bl.test=", "bl.test=127.0.0", "bl.test=127.0.0.256",
                             "bl.test=127.0.0.[]", "bl.test=127.0.0.[5..2]", "bl.test=127.0.0.[2",
                             "bl.test=127.0.0.2.1", "bl.test=127.0.0.2x", "b l.test"})
        EXPECT_FALSE(DnsList::parse(text)) << text;
}

TEST(DnsList, ReversesAddresses)
{
    EXPECT_EQ(reversed_address(*SocketAddress::parse("192.0.2.1")), "1.2.0.192");
    EXPECT_EQ(reversed_address(*SocketAddress::parse("2001:db8::1")),
              "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2");
}

TEST(PolicyServer, ReadsItsSettings)
{
    const auto spec = parse_policy_server(
        "{ inet:[::1]:10023, timeout=5, try_limit=3, request_limit = 7, { default_action = DUNNO or so } }",
        {});
    EXPECT_FALSE(spec) << "blanks around = want braces";
    const auto good = parse_policy_server(
        "{ inet:[::1]:10023, timeout=5, try_limit=3, { default_action = 450 later } }", {});
    ASSERT_TRUE(good);
    EXPECT_EQ(good->host, "::1");
    EXPECT_EQ(good->port, 10023);
    EXPECT_EQ(good->options.timeout, Milliseconds(5000));
    EXPECT_EQ(good->options.try_limit, 3);
    EXPECT_EQ(good->options.default_action, "450 later");
    EXPECT_EQ(parse_policy_server("unix:private/policy", {})->path, "private/policy");
    for (const char* text : {"", "inet:h:0", "inet:h:99999", "unix:", "{ }", "{ inet:h:1, timeout=x }",
                             "{ inet:h:1, nosuch=1 }", "{ inet:h:1, try_limit=0 }"})
        EXPECT_FALSE(parse_policy_server(text, {})) << text;
}

TEST(PolicyServer, AQuestionIsOneOfLines)
{
    Peer peer;
    peer.address = "192.0.2.1";
    AccessSubject subject("RCPT", peer);
    subject.sender = "evil\n\naction=OK@x.test";
    const std::string request = policy_request(subject, PolicyFacts{"c", "", "3.6", "9.9"});
    EXPECT_THAT(request, testing::HasSubstr("\nsender=evil??action=OK@x.test\n"));
    EXPECT_THAT(request, testing::StartsWith("request=smtpd_access_policy\nprotocol_state=RCPT\n"));
    EXPECT_THAT(request, testing::EndsWith(
                             "\npolicy_context=c\ncompatibility_level=3.6\nmail_version=9.9\ntls_sni=\n\n"));
    EXPECT_EQ(request.find("\n\n"), request.size() - 2);
}

TEST(PolicyReply, ReadsTheAction)
{
    PolicyReply reply;
    EXPECT_FALSE(*reply.add_line("other=1"));
    EXPECT_FALSE(*reply.add_line("action= DUNNO "));
    EXPECT_FALSE(*reply.add_line("action=REJECT"));
    EXPECT_TRUE(*reply.add_line(""));
    EXPECT_EQ(reply.action(), "DUNNO");
}

TEST(PolicyReply, RefusesNonsense)
{
    EXPECT_FALSE(PolicyReply().add_line(""));
    EXPECT_FALSE(PolicyReply().add_line("hello"));
    PolicyReply endless;
    bool refused = false;
    for (int i = 0; i < 1000 && !refused; ++i)
        refused = !endless.add_line("a=b");
    EXPECT_TRUE(refused);
}

TEST(Restrictions, ArgumentsAreChecked)
{
    const auto list =
        RestrictionList::parse("sleep x, reject_rbl_client bl.test=1, sleep 1, reject_rbl_client");
    EXPECT_THAT(list.problems(),
                testing::ElementsAre("sleep: bad number of seconds \"x\"",
                                     "reject_rbl_client: bad filter of a DNS list: \"bl.test=1\"",
                                     "restriction reject_rbl_client needs a domain"));
}

TEST(Restrictions, SomeStopRelaying)
{
    for (const char* text : {"reject", "permit_mynetworks, defer_unauth_destination", "defer_if_permit"})
        EXPECT_TRUE(RestrictionList::parse(text).can_stop_relaying()) << text;
    for (const char* text : {"", "permit", "reject_unknown_client_hostname", "warn_if_reject"})
        EXPECT_FALSE(RestrictionList::parse(text).can_stop_relaying()) << text;
}

} // namespace
