#include "harness.h"

#include "base/text.h"
#include "spool/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::smtpd_test
{

namespace
{

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// "S a@b", "N text", one for each record; attributes as "A name=value".
std::vector<std::string> records_of(const std::string& bytes)
{
    std::vector<std::string> lines;
    RecordReader reader(bytes);
    for (;;) {
        const auto record = reader.next();
        if (!record || !*record)
            return lines;
        std::string line(1, static_cast<char>((*record)->type));
        if (!(*record)->data.empty())
            line.append(" ").append((*record)->data);
        lines.push_back(line);
    }
}

std::string types_of(const std::string& bytes)
{
    std::string types;
    for (const std::string& line : records_of(bytes))
        types += line[0];
    return types;
}

bool has(const std::vector<std::string>& lines, const std::string& line)
{
    return std::ranges::find(lines, line) != lines.end();
}

// One message from EHLO to the reply of the dot, which is given back.
std::string send_message(BlockingClient& client, std::string_view mail, std::vector<std::string> recipients,
                         std::string_view text)
{
    client.read_reply();
    client.say("EHLO client.test");
    client.say(mail);
    for (const std::string& recipient : recipients)
        client.say("RCPT TO:" + recipient);
    client.say("DATA");
    client.send(text);
    client.send("\r\n.\r\n");
    return client.read_reply();
}

TEST(Session, WritesTheRecordsInTheirOrder)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        const std::string reply =
            send_message(client, "MAIL FROM:<a@ext.test> BODY=8BITMIME RET=HDRS ENVID=abc+2Bdef",
                         {"<user@local.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@x.test"},
                         "Subject: x\r\n\r\n..dot\r\nend");
        EXPECT_EQ(reply, "250 2.0.0 Ok: queued as ID1");
    });
    ASSERT_EQ(harness.services.messages.size(), 1u);
    const auto lines = records_of(harness.services.messages[0]);
    EXPECT_EQ(types_of(harness.services.messages[0]), "TAAASAAAAAAAAAAAAAAAAAORMNNNNNNNXE");
    for (const char* line :
         {"A envelope_id=abc+def", "A ret_flags=2", "A rewrite_context=local", "S a@ext.test",
          "A encoding=8bit", "A log_client_name=localhost", "A log_message_origin=localhost[127.0.0.1]",
          "A log_helo_name=client.test", "A client_address_type=2", "A protocol_name=ESMTP",
          "A notify_flags=10", "A dsn_orig_rcpt=rfc822;o@x.test", "O user@local.test", "R user@local.test",
          "N Received: from client.test (localhost [127.0.0.1])",
          "N \tby mx.example.test (Bulkhead) with ESMTP id ID1", "N Subject: x", "N .dot", "N end"})
        EXPECT_TRUE(has(lines, line)) << line;
    EXPECT_EQ(harness.services.flags & ipc::cleanup_flag::rewrite_local, ipc::cleanup_flag::rewrite_local);
}

TEST(Session, SeveralRecipientsAreNotNamedInReceived)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        send_message(client, "MAIL FROM:<>", {"<user@local.test>", "<x@relay.test>"}, "text");
    });
    const auto lines = records_of(harness.services.messages.at(0));
    EXPECT_TRUE(has(lines, "S"));
    EXPECT_TRUE(has(lines, "N \tby mx.example.test (Bulkhead) with ESMTP id ID1;"));
}

TEST(Session, ARefusedClientLeavesNoTraceInCleanup)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("HELO x");
        client.say("MAIL FROM:<a@ext.test>");
        EXPECT_THAT(client.say("RCPT TO:<nobody@local.test>"), StartsWith("550 5.1.1"));
    });
    EXPECT_EQ(harness.services.opened, 0);
}

TEST(Session, TextThatBeginsWithABlankDoesNotContinueReceived)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        send_message(client, "MAIL FROM:<a@ext.test>", {"<user@local.test>"}, " by evil.test");
    });
    EXPECT_THAT(types_of(harness.services.messages.at(0)), testing::EndsWith("MNNNNNXE"));
}

TEST(Session, MailboxSeparatorBecomesAHeader)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        send_message(client, "MAIL FROM:<a@ext.test>", {"<user@local.test>"},
                     "From a Thu Jan 1\r\nSubject: x");
    });
    EXPECT_THAT(types_of(harness.services.messages.at(0)), testing::EndsWith("MNNNLNNXE"));
}

TEST(Session, LargeMessagesGoInBlocksAndArriveWhole)
{
    Harness harness;
    std::string text;
    for (int i = 0; i < 20'000; ++i)
        text += "line " + std::to_string(i) + "\r\n";
    harness.talk([&](BlockingClient& client) {
        EXPECT_THAT(send_message(client, "MAIL FROM:<a@ext.test>", {"<user@local.test>"}, text),
                    StartsWith("250 2.0.0 Ok: queued as"));
    });
    const auto lines = records_of(harness.services.messages.at(0));
    EXPECT_EQ(
        std::ranges::count_if(lines, [](const std::string& line) { return line.starts_with("N line "); }),
        20'000);
}

TEST(Session, CleanupThatBreaksOffIsATemporaryFailureAndTheDialogueStaysInStep)
{
    Harness harness;
    harness.services.drops = true;
    harness.talk([](BlockingClient& client) {
        EXPECT_EQ(send_message(client, "MAIL FROM:<a@ext.test>", {"<user@local.test>"}, "NOOP\r\nQUIT"),
                  "451 4.3.0 Error: queue file write error");
        EXPECT_EQ(client.say("NOOP"), "250 2.0.0 Ok");
        EXPECT_THAT(client.say("RCPT TO:<user@local.test>"), StartsWith("503 5.5.1"));
    });
    EXPECT_TRUE(harness.services.messages.empty());
}

TEST(Session, ALostClientLeavesNoMessage)
{
    Harness harness;
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("HELO x");
        client.say("MAIL FROM:<a@ext.test>");
        client.say("RCPT TO:<user@local.test>");
        client.say("DATA");
        client.send("Subject: half\r\n\r\ntext\r\n");
    });
    EXPECT_EQ(harness.services.opened, 1);
    EXPECT_TRUE(harness.services.messages.empty());
}

TEST(Session, BareNewlineIsRefusedWhereForbidden)
{
    Harness harness("smtpd_forbid_bare_newline = reject\nsmtpd_forbid_bare_newline_exclusions =\n");
    // A socket pair has no network address, so the list of exclusions is not asked.
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.send("HELO x\n");
        EXPECT_EQ(client.read_reply(), "250 mx.example.test");
    });
}

TEST(Session, KeywordsThatAreDiscardedAreRefusedToo)
{
    Harness harness("smtpd_discard_ehlo_keywords = silent-discard, dsn, Size\n");
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        const std::string offers = client.say("EHLO x");
        EXPECT_THAT(offers, testing::Not(HasSubstr("DSN")));
        EXPECT_THAT(offers, testing::Not(HasSubstr("SIZE")));
        EXPECT_THAT(client.say("MAIL FROM:<a@ext.test> RET=FULL"), StartsWith("555 5.5.4"));
        EXPECT_THAT(client.say("MAIL FROM:<a@ext.test> SIZE=1"), StartsWith("555 5.5.4"));
    });
}

TEST(Session, SilentClientIsToldAndLeft)
{
    Harness harness("smtpd_timeout = 1s\n");
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        EXPECT_EQ(client.read_reply(), "421 4.4.2 mx.example.test Error: timeout exceeded");
        EXPECT_EQ(client.read_reply(), "(closed)");
    });
}

TEST(Session, LogsThePermitsThatAreAskedFor)
{
    testing::internal::CaptureStderr();
    Harness harness("smtpd_log_access_permit_actions = permit_mynetworks, own_class\n"
                    "smtpd_restriction_classes = own_class\nown_class = permit\n"
                    "smtpd_client_restrictions = own_class\n");
    harness.network = true;
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("EHLO c.test");
        client.say("MAIL FROM:<a@ext.test>");
        EXPECT_EQ(client.say("RCPT TO:<b@ext.test>"), "250 2.1.5 Ok");
    });
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("NOQUEUE: permit: RCPT from unknown[127.0.0.1]: action=permit_mynetworks for "
                               "Recipient address=b@ext.test; from=<a@ext.test> to=<b@ext.test>"));
    EXPECT_THAT(log, testing::Not(HasSubstr("action=own_class"))); // the rule inside has decided
}

TEST(Session, ContentFilterIsInTheEnvelope)
{
    Harness harness("content_filter = scan:[127.0.0.1]:10025\n");
    harness.talk([](BlockingClient& client) {
        EXPECT_THAT(send_message(client, "MAIL FROM:<a@ext.test>", {"<user@local.test>"}, "x\r\n.\r\n"),
                    StartsWith("250 "));
    });
    ASSERT_EQ(harness.services.messages.size(), 1U);
    EXPECT_TRUE(has(records_of(harness.services.messages[0]), "L scan:[127.0.0.1]:10025"));
}

} // namespace

} // namespace bulkhead::smtpd_test
