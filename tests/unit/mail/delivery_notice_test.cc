#include "mail/delivery_notice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using Strings = std::vector<std::string>;

DeliveryNotice sample()
{
    DeliveryNotice notice;
    notice.mail_name = "Postfix";
    notice.myhostname = "mx.example.test";
    notice.to = "a b@example.test";
    notice.queue_id = "25346A76AFF";
    notice.sender = "a b@example.test";
    notice.envelope_id = "abc+def";
    notice.arrival_time = 1795330850;
    notice.now = 1795330911;
    NoticeRecipient remote;
    remote.final_recipient = "joe@elsewhere.test";
    remote.original_recipient = "rfc822;alias@example.test";
    remote.action = "failed";
    remote.status = "5.1.1";
    remote.diagnostic_type = "smtp";
    remote.diagnostic_text = "550 5.1.1 <joe@elsewhere.test>: no such user";
    remote.remote_type = "dns";
    remote.remote_name = "mx.elsewhere.test";
    remote.reason =
        "host mx.elsewhere.test[192.0.2.1] said: 550 5.1.1 <joe@elsewhere.test>: no such user (in "
        "reply to RCPT TO command)";
    NoticeRecipient local;
    local.final_recipient = "x y@example.test";
    local.action = "failed";
    local.status = "5.1.1";
    local.reason = "unknown user: \"x y\"";
    notice.recipients = {remote, local};
    return notice;
}

OriginalLines lines_of(Strings lines)
{
    return [lines = std::move(lines), next = std::size_t{0}](std::string& line) mutable {
        if (next == lines.size())
            return false;
        line = lines[next++];
        return true;
    };
}

const Strings original = {"Subject: hello", "\tworld", "To: joe", "", "body: text", ".", "end"};

bool has(const Strings& lines, const std::string& line)
{
    return std::ranges::find(lines, line) != lines.end();
}

TEST(DeliveryNotice, HasTheHeadersThatProgramsLookFor)
{
    const auto out = compose_notice(sample(), lines_of(original));
    EXPECT_EQ(out[0], "From: Mail Delivery System <MAILER-DAEMON@mx.example.test>");
    EXPECT_EQ(out[1], "Subject: Undelivered Mail Returned to Sender");
    EXPECT_EQ(out[2], "To: \"a b\"@example.test");
    EXPECT_EQ(out[3], "Auto-Submitted: auto-replied");
    EXPECT_EQ(out[4], "MIME-Version: 1.0");
    EXPECT_EQ(out[5], "Content-Type: multipart/report; report-type=delivery-status;");
    EXPECT_EQ(out[6], "\tboundary=\"25346A76AFF.1795330911/mx.example.test\"");
    EXPECT_EQ(out.back(), "--25346A76AFF.1795330911/mx.example.test--");
    EXPECT_EQ(std::ranges::count(out, "--25346A76AFF.1795330911/mx.example.test"), 3);
}

TEST(DeliveryNotice, ListsEachRecipientWithItsReason)
{
    const auto out = compose_notice(sample(), lines_of(original));
    EXPECT_TRUE(has(out, "<\"x y\"@example.test>: unknown user: \"x y\""));
    EXPECT_TRUE(has(out, "<joe@elsewhere.test>: host mx.elsewhere.test[192.0.2.1] said: 550 5.1.1"));
    EXPECT_TRUE(has(out, "    <joe@elsewhere.test>: no such user (in reply to RCPT TO command)"));
}

TEST(DeliveryNotice, HasTheStatusFieldsOfRfc3464)
{
    ::setenv("TZ", "UTC0", 1);
    ::tzset();
    const auto out = compose_notice(sample(), lines_of(original));
    for (const std::string line : {
             "Reporting-MTA: dns; mx.example.test",
             "Original-Envelope-Id: abc+def",
             "X-Postfix-Queue-ID: 25346A76AFF",
             "X-Postfix-Sender: rfc822; \"a b\"@example.test",
             "Arrival-Date: Sun, 22 Nov 2026 07:00:50 +0000 (UTC)",
             "Final-Recipient: rfc822; joe@elsewhere.test",
             "Original-Recipient: rfc822;alias@example.test",
             "Action: failed",
             "Status: 5.1.1",
             "Remote-MTA: dns; mx.elsewhere.test",
             "Diagnostic-Code: smtp; 550 5.1.1 <joe@elsewhere.test>: no such user",
             "Final-Recipient: rfc822; \"x y\"@example.test",
             "Diagnostic-Code: X-Postfix; unknown user: \"x y\"",
             "Content-Type: message/rfc822",
         })
        EXPECT_TRUE(has(out, line)) << line;
}

TEST(DeliveryNotice, ReturnsTheWholeMessage)
{
    const auto out = compose_notice(sample(), lines_of(original));
    const auto start = std::ranges::find(out, "Subject: hello");
    ASSERT_GE(out.end() - start, static_cast<std::ptrdiff_t>(original.size()));
    EXPECT_EQ(Strings(start, start + static_cast<std::ptrdiff_t>(original.size())), original);
}

TEST(DeliveryNotice, WhatIsReturnedBeginsWithItsSender)
{
    auto notice = sample();
    const auto line_before_subject = [&notice] {
        const auto out = compose_notice(notice, lines_of(original));
        return *std::prev(std::ranges::find(out, "Subject: hello"));
    };
    EXPECT_EQ(line_before_subject(), "Return-Path: <\"a b\"@example.test>");
    notice.sender.clear();
    EXPECT_EQ(line_before_subject(), "Return-Path: <>");
}

TEST(DeliveryNotice, ReturnsHeadersOnlyWhenAskedOrTooLarge)
{
    auto asked = sample();
    asked.headers_only = true;
    auto large = sample();
    large.original_size = 50'001;
    large.size_limit = 50'000;
    for (const auto& notice : {asked, large}) {
        const auto out = compose_notice(notice, lines_of(original));
        EXPECT_TRUE(has(out, "Content-Type: text/rfc822-headers"));
        EXPECT_TRUE(has(out, "Content-Description: Undelivered Message Headers"));
        EXPECT_TRUE(has(out, "\tworld"));
        EXPECT_FALSE(has(out, "body: text"));
    }
}

TEST(DeliveryNotice, LeavesTheThirdPartOutWithoutOriginal)
{
    const auto out = compose_notice(sample(), {});
    EXPECT_EQ(std::ranges::count(out, "--25346A76AFF.1795330911/mx.example.test"), 2);
}

TEST(DeliveryNotice, DelayTellsHowLongItWillTry)
{
    auto notice = sample();
    notice.kind = NoticeKind::delay;
    notice.recipients[0].retry_until = 1795330850 + 432'000;
    const auto out = compose_notice(notice, {});
    EXPECT_EQ(out[1], "Subject: Delayed Mail (still being retried)");
    EXPECT_TRUE(has(out, "Will-Retry-Until: Fri, 27 Nov 2026 07:00:50 +0000 (UTC)"));
}

TEST(DeliveryNotice, SubjectsNameTheKind)
{
    DeliveryNotice notice;
    notice.kind = NoticeKind::success;
    EXPECT_EQ(notice_subject(notice), "Successful Mail Delivery Report");
    notice.kind = NoticeKind::verify;
    EXPECT_EQ(notice_subject(notice), "Mail Delivery Status Report");
    notice.kind = NoticeKind::failure;
    notice.for_postmaster = true;
    EXPECT_EQ(notice_subject(notice), "Postmaster Copy: Undelivered Mail");
    notice.double_bounce = true;
    EXPECT_EQ(notice_subject(notice), "Postmaster Copy: Undelivered Mail");
}

// Peer bytes reach a notice through the reason and the remote reply.
TEST(DeliveryNotice, HostileTextMakesNoHeaderAndNoLongLine)
{
    auto notice = sample();
    notice.to = "x\nBcc: y@z";
    notice.queue_id = "25346A76AFF";
    notice.recipients[0].reason = "said: 550\r\nBcc: a@b\r\n\r\n" + std::string(20'000, 'x');
    notice.recipients[0].diagnostic_text = std::string(5'000, '\xff') + "\n--25346A76AFF";
    notice.recipients[0].remote_name = "mx\nx" + std::string(3'000, 'y');
    notice.recipients[0].final_recipient = std::string(5'000, 'z') + "@b";
    notice.recipients[0].status = "5.1.1\nX: y";
    for (const auto& line : compose_notice(notice, {})) {
        EXPECT_LE(line.size(), 998u);
        EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos);
        EXPECT_FALSE(line.starts_with("Bcc"));
    }
}

TEST(DeliveryNotice, BoundaryKeepsTheLimitOfRfc2046)
{
    auto notice = sample();
    notice.myhostname = std::string(200, 'h') + ".test";
    const auto out = compose_notice(notice, {});
    EXPECT_EQ(out[6].size(), 70 + std::string("\tboundary=\"\"").size());
}

// A parser that is not ours must see the same message; skipped where there is none.
TEST(DeliveryNotice, PythonReadsTheReport)
{
    if (std::system("python3 -c 'import email' >/dev/null 2>&1") != 0)
        GTEST_SKIP() << "no python3";
    const std::string path = testing::TempDir() + "bulkhead_notice.eml";
    {
        std::ofstream file(path);
        for (const auto& line : compose_notice(sample(), lines_of(original)))
            file << line << '\n';
    }
    const std::string script = R"(import email,sys
m=email.message_from_file(open(sys.argv[1]))
assert m.get_content_type()=='multipart/report' and m.get_param('report-type')=='delivery-status'
t,s,o=m.get_payload()
assert t.get_content_type()=='text/plain' and s.get_content_type()=='message/delivery-status'
f=s.get_payload()
assert len(f)==3 and f[0]['Reporting-MTA']=='dns; mx.example.test' and f[1]['Action']=='failed' and f[2]['Status']=='5.1.1', f
assert o.get_payload(0)['To']=='joe' and o.get_payload(0).get_payload()=='body: text\n.\nend\n', repr(o.get_payload(0).get_payload())
assert not m.defects and not s.defects
)";
    EXPECT_EQ(std::system(("python3 -c \"" + script + "\" " + path).c_str()), 0);
}

} // namespace
} // namespace bulkhead
