#include "access_action.h"
#include "disk_space.h"
#include "harness.h"
#include "standalone_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::smtpd_test
{

namespace
{

using testing::HasSubstr;

TEST(SmtpdParams, DeclarationsAgreeWithTheTable)
{
    for (const std::string& line : SmtpdParams().disagreements())
        EXPECT_THAT(line, testing::AnyOf(HasSubstr("mynetworks:"))) << "depends on the machine";
}

// The reply to a recipient that would be fine otherwise.
std::string reply_to_recipient(const std::string& settings)
{
    std::string reply;
    Harness harness(settings);
    harness.talk([&](BlockingClient& client) {
        client.read_reply();
        client.say("EHLO x");
        client.say("MAIL FROM:<a@ext.test>");
        reply = client.say("RCPT TO:<user@local.test>");
    });
    return reply;
}

constexpr const char* server_error = "451 4.3.5 Server configuration error";

TEST(Policy, UnknownRestrictionMakesTheMailThatReachesItWait)
{
    EXPECT_EQ(reply_to_recipient("smtpd_recipient_restrictions = reject_unauth_destination, permitt\n"),
              server_error);
}

TEST(Policy, UnknownRestrictionThatIsNotReachedHarmsNobody)
{
    EXPECT_EQ(reply_to_recipient("smtpd_recipient_restrictions = permit_auth_destination, permitt\n"),
              "250 2.1.5 Ok");
}

TEST(Policy, ProblemsOfAListAreNamed)
{
    const auto list = RestrictionList::parse("permitt, reject_unauth_destination, check_client_access");
    EXPECT_THAT(list.problems(), testing::ElementsAre("unknown smtpd restriction: \"permitt\"",
                                                      "restriction check_client_access needs a table"));
}

TEST(Policy, AServerThatWouldRelayForAllTakesNoRecipient)
{
    EXPECT_EQ(reply_to_recipient("smtpd_relay_restrictions = permit\n"), server_error);
}

TEST(Policy, ATypoIsNoProtectionAgainstRelaying)
{
    EXPECT_EQ(reply_to_recipient("smtpd_relay_restrictions = permit_mynetworks, rejectt\n"), server_error);
}

TEST(Policy, UnknownTableTypeMakesTheMailThatNeedsItWait)
{
    EXPECT_EQ(reply_to_recipient("smtpd_client_restrictions = check_client_access nosuch:x\n"), server_error);
    EXPECT_EQ(reply_to_recipient("local_recipient_maps = nosuch:x\n"),
              "451 4.3.0 <user@local.test>: Temporary lookup failure");
}

TEST(Policy, ABadNetworkMakesTheMailThatNeedsItWait)
{
    EXPECT_EQ(reply_to_recipient("mynetworks = 10.0.0.1/8\n"),
              "451 4.3.0 <mynetworks>: Temporary lookup failure");
}

TEST(Policy, NetworksContainTheirAddresses)
{
    ListOptions options;
    options.kind = ListKind::addresses;
    const auto list = MatchList::open("127.0.0.0/8 [2001:db8::]/32 192.0.2.7", options);
    ASSERT_TRUE(list);
    for (const char* inside : {"127.0.0.1", "127.9.9.9", "2001:db8::5", "192.0.2.7"})
        EXPECT_TRUE(list->match(inside)) << inside;
    for (const char* outside : {"128.0.0.1", "2001:db9::5", "192.0.2.8", "::1"})
        EXPECT_FALSE(list->match(outside)) << outside;
}

TEST(Policy, ATableThatCannotBeOpenedIsATemporaryFailure)
{
    Harness harness("virtual_mailbox_maps = texthash:/no/such/file\n");
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("HELO x");
        client.say("MAIL FROM:<a@ext.test>");
        EXPECT_EQ(client.say("RCPT TO:<x@virtual.test>"),
                  "451 4.3.0 <x@virtual.test>: Temporary lookup failure");
        EXPECT_EQ(client.say("RCPT TO:<user@local.test>"), "250 2.1.5 Ok");
    });
}

struct Action {
    std::string_view text;
    AccessAction::Kind kind;
    int code;
    std::string_view dsn;
    std::string_view rest;
};

TEST(AccessAction, ReadsEveryForm)
{
    using Kind = AccessAction::Kind;
    for (const Action& row : {
             Action{"OK", Kind::permit, 0, "", ""},
             Action{"12345", Kind::permit, 0, "", ""},
             Action{"dunno", Kind::undecided, 0, "", ""},
             Action{"REJECT", Kind::reject, 0, "", ""},
             Action{"reject 5.7.9 no thanks", Kind::reject, 0, "5.7.9", "no thanks"},
             Action{"DEFER  5.7.9 odd", Kind::defer, 0, "4.7.9", "odd"},
             Action{"554 4.2.1 odd", Kind::reply, 554, "5.2.1", "odd"},
             Action{"DEFER_IF_PERMIT 4.7.9 later", Kind::defer_if_permit, 0, "4.7.9", "later"},
             Action{"defer_if_reject", Kind::defer_if_reject, 0, "", ""},
             Action{"HOLD look at it", Kind::hold, 0, "", "look at it"},
             Action{"DISCARD", Kind::discard, 0, "", ""},
             Action{"FILTER smtp:[127.0.0.1]:26", Kind::filter, 0, "", "smtp:[127.0.0.1]:26"},
             Action{"REDIRECT a@b.test", Kind::redirect, 0, "", "a@b.test"},
             Action{"BCC a@b.test", Kind::bcc, 0, "", "a@b.test"},
             Action{"PREPEND X-A: 5.7.1 b", Kind::prepend, 0, "", "X-A: 5.7.1 b"},
             Action{"WARN careful", Kind::warn, 0, "", "careful"},
             Action{"INFO 4.0.0 so", Kind::info, 0, "", "4.0.0 so"},
             Action{"421 4.7.0 leaving", Kind::reply, 421, "4.7.0", "leaving"},
             Action{"450 4.7.9 later", Kind::reply, 450, "4.7.9", "later"},
             Action{"554 plain", Kind::reply, 554, "", "plain"},
             Action{"reject_unauth_destination, permit", Kind::restrictions, 0, "",
                    "reject_unauth_destination, permit"},
         }) {
        const AccessAction action = parse_access_action(row.text);
        EXPECT_EQ(action.kind, row.kind) << row.text;
        EXPECT_EQ(action.code, row.code) << row.text;
        EXPECT_EQ(action.dsn, row.dsn) << row.text;
        EXPECT_EQ(action.text, row.rest) << row.text;
    }
}

TEST(DiskSpace, KeepsTheMinimumAndRoomForOneAndAHalfMessages)
{
    EXPECT_TRUE(is_enough_space(16'000'000, 0, 10'240'000, 0));
    EXPECT_FALSE(is_enough_space(15'000'000, 0, 10'240'000, 0));
    EXPECT_FALSE(is_enough_space(1'000, 1'000, 0, 0));
    EXPECT_FALSE(is_enough_space(1'000, 0, 0, 1'000));
    EXPECT_TRUE(is_enough_space(1'000, 0, 0, 0));
}

TEST(PostdropAnswers, AreFoundInBothForms)
{
    using namespace std::string_view_literals;
    EXPECT_EQ(find_postdrop_answer("protocol=postdrop_protocol\nqueue_id=AB12\n\n", "queue_id"), "AB12");
    EXPECT_EQ(find_postdrop_answer("protocol\0postdrop_protocol\0queue_id\0AB12\0\0"sv, "queue_id"), "AB12");
    EXPECT_EQ(find_postdrop_answer("queue_id=AB1", "queue_id"), "");
    EXPECT_EQ(find_postdrop_answer("xqueue_id=AB1\n", "queue_id"), "");
}

} // namespace

} // namespace bulkhead::smtpd_test
