#include "support.h"

#include <gmock/gmock.h>

using namespace bulkhead;
using testing::ElementsAre;

namespace
{

TEST_F(Assembly, LeavesRemoteHeadersAlone)
{
    EXPECT_THAT(content({"N:From: joe", "N:To: ann", "N", "N:text"}),
                ElementsAre("N:From: joe", "N:To: ann", "N:", "N:text"));
}

TEST_F(Assembly, CompletesLocalHeadersInPlace)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    EXPECT_THAT(content({"N:Message-ID: <1@a.test>", "N:Date: x", "N:From: Joe <joe> (the one)",
                         "N:To: \"A, B\" <ann>,", "N:\tbob@c.test,", "N: eve (Eve)",
                         "N:Cc: undisclosed-recipients:;", "N:X-To: joe", "N", "N:To: joe"}),
                ElementsAre("N:Message-ID: <1@a.test>", "N:Date: x",
                            "N:From: Joe <joe@origin.test> (the one)", "N:To: \"A, B\" <ann@origin.test>,",
                            "N:\tbob@c.test,", "N: eve@origin.test (Eve)", "N:Cc: undisclosed-recipients:;",
                            "N:X-To: joe", "N:", "N:To: joe"));
}

TEST_F(Assembly, CompletesRemoteHeadersWithTheirOwnDomainWhenAsked)
{
    params.remote_header_rewrite_domain.set("remote.invalid");
    EXPECT_THAT(content({"N:Message-ID: <1@a.test>", "N:Date: x", "N:From: joe", "N"}),
                ElementsAre("N:Message-ID: <1@a.test>", "N:Date: x", "N:From: joe@remote.invalid", "N:"));
}

TEST_F(Assembly, MapsHeaderAddresses)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    params.sender_canonical_maps.set("inline:{joe@origin.test=j.doe@c.test}");
    params.recipient_canonical_maps.set("inline:{joe@origin.test=inbox@c.test}");
    EXPECT_THAT(content({"N:Message-ID: <1@a.test>", "N:Date: x", "N:From: joe", "N:To: joe", "N"}),
                ElementsAre("N:Message-ID: <1@a.test>", "N:Date: x", "N:From: j.doe@c.test",
                            "N:To: inbox@c.test", "N:"));
}

TEST_F(Assembly, AddsWhatLocalMailLacks)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    EXPECT_THAT(content({"N:Received: by x", "N:Subject: s", "N", "N:text"}),
                ElementsAre("N:Received: by x", "N:Subject: s",
                            "N:Message-Id: <20261122071246.ABC123@mx.origin.test>",
                            testing::StartsWith("N:Date: Sun, 22 Nov 2026 "), "N:From: s@a.test",
                            "N:", "N:text"));
}

TEST_F(Assembly, AddsWhatResentMailLacks)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    EXPECT_THAT(content({"N:Resent-To: r@b.test", "N:Date: old", "N:From: o@a.test", "N"}),
                ElementsAre("N:Resent-To: r@b.test", "N:Date: old", "N:From: o@a.test",
                            "N:Resent-Message-Id: <20261122071246.ABC123@mx.origin.test>",
                            testing::StartsWith("N:Resent-Date: "), "N:Resent-From: s@a.test", "N:"));
}

TEST_F(Assembly, AddsAuthorAndRecipients)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    params.undisclosed_recipients.set("To: undisclosed-recipients:;");
    const Records made =
        assemble({"F:Joe \"Q\" Doe", "S:", "R:r@b.test", "M", "N:Date: x", "N:Message-ID: <1@a>", "X", "E"});
    EXPECT_THAT(made, testing::IsSupersetOf({"N:From: \"Joe \\\"Q\\\" Doe\" <MAILER-DAEMON@origin.test>",
                                             "N:To: undisclosed-recipients:;"}));
    params.header_from_format.set("obsolete");
    EXPECT_THAT(assemble({"F:Joe (Q)", "S:j@a.test", "R:r@b.test", "M", "N:Date: x", "X", "E"}),
                testing::Contains("N:From: j@a.test (Joe \\(Q\\))"));
}

TEST_F(Assembly, EncodesANameOutsideAscii)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    const Records records = {"F:J\xc3\xb6rg", "S:j@a.test", "R:r@b.test", "M", "N:Date: x", "X", "E"};
    params.full_name_charset.set("utf-8");
    EXPECT_THAT(assemble(records), testing::Contains("N:From: =?utf-8?Q?J=C3=B6rg?= <j@a.test>"));
    params.header_from_format.set("obsolete");
    params.full_name_charset.set("utf-8*en");
    EXPECT_THAT(assemble(records), testing::Contains("N:From: j@a.test (=?utf-8*en?Q?J=C3=B6rg?=)"));
}

TEST_F(Assembly, DropsHeadersThatNobodyShallSee)
{
    EXPECT_THAT(content({"N:To: a@b.test", "N:BCC: secret@c.test,", "N: more@c.test", "N:Return-Path: <x@y>",
                         "N:Subject: s", "N"}),
                ElementsAre("N:To: a@b.test", "N:Subject: s", "N:"));
}

TEST_F(Assembly, EndsHeadersAtTheFirstLineThatIsNone)
{
    EXPECT_THAT(content({"N:Subject: s", "N:no header", "N:To: x"}),
                ElementsAre("N:Subject: s", "N:", "N:no header", "N:To: x"));
    EXPECT_THAT(content({"N: blank first"}), ElementsAre("N:", "N: blank first"));
    EXPECT_THAT(content({"N:Subject: s"}), ElementsAre("N:Subject: s"));
    EXPECT_THAT(content({}), ElementsAre("N:"));
}

TEST_F(Assembly, KeepsLongLinesInParts)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    const std::string part = "L:" + std::string(2048, 'x');
    EXPECT_THAT(content({"N:Message-ID: <1@a.test>", "N:Date: x", "N:From: a@b.test",
                         "L:Subject: " + std::string(2039, 's'), "N:tail", "N", part, part, "N:end", part}),
                ElementsAre("N:Message-ID: <1@a.test>", "N:Date: x", "N:From: a@b.test",
                            "L:Subject: " + std::string(2039, 's'), "N:tail", "N:", part, part, "N:end", part,
                            "N:"));
}

TEST_F(Assembly, RewritesAnAddressInALongLine)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    const std::string names = "To: \"" + std::string(2038, 'n') + "\" <jo";
    ASSERT_EQ(names.size(), 2048u);
    const Records made =
        content({"L:" + names, "N:e>", "N:Message-ID: <1@a.test>", "N:Date: x", "N:From: a@b.test", "N"});
    EXPECT_THAT(std::vector(made.begin(), made.begin() + 2), ElementsAre("L:" + names, "N:e@origin.test>"));
}

TEST_F(Assembly, CutsHeadersThatAreTooLong)
{
    params.header_size_limit.set(40);
    EXPECT_THAT(content({"N:X-Long: 0123456789", "N: 0123456789", "N: 0123456789", "N:Subject: s", "N"}),
                ElementsAre("N:X-Long: 0123456789", "N: 0123456789", "N:Subject: s", "N:"));
    EXPECT_THAT(content({"L:X-Long: 0123456789", "N:" + std::string(30, 'y'), "N:Subject: s", "N"}),
                ElementsAre("L:X-Long: 0123456789", "N:", "N:Subject: s", "N:"));
}

TEST_F(Assembly, RefusesLoops)
{
    Records lines(50, "N:Received: from x by y");
    lines.push_back("N");
    content(lines);
    EXPECT_TRUE(result.ok());
    lines.insert(lines.begin(), "N:Received: one more");
    content(lines);
    EXPECT_EQ(result.status, ipc::cleanup_status::too_many_hops);
    EXPECT_EQ(result.dsn, "5.4.0");
}

TEST_F(Assembly, Keeps8BitTextAndNotesItsEncoding)
{
    const Records made =
        assemble({"S:s@a.test", "R:r@b.test", "M", "N:Subject: caf\xe9", "N:Content-Transfer-Encoding: 8BIT",
                  "N", "N:caf\xe9", std::string("N:a\0b", 5), "X", "E"});
    EXPECT_THAT(Records(std::ranges::find(made, "M:"), made.end()),
                ElementsAre("M:", "N:Subject: caf\xe9", "N:Content-Transfer-Encoding: 8BIT",
                            "N:", "N:caf\xe9", std::string("N:a\0b", 5), "X:", "A:encoding=8bit", "E:"));
}

TEST_F(Assembly, NotesWhatSmtputf8Needs)
{
    flags |= ipc::cleanup_flag::smtputf8;
    assemble({"S:\xc3\xa9@a.test", "R:\xc3\xa9@b.test", "M", "N:Subject: \xc3\xa9", "N", "X", "E"});
    EXPECT_EQ(sizes.send_options,
              send_option::smtputf8_requested | send_option::smtputf8_header | send_option::smtputf8_sender);
}

TEST_F(Assembly, BlanksLineEndsInsideOfLines)
{
    EXPECT_THAT(content({"N:Subject: a\rb\nX: c", "N", "N:one\r\n.\r\ntwo", "N:thirteen char"}),
                ElementsAre("N:Subject: a b X: c", "N:", "N:one  .  two", "N:thirteen char"));
    EXPECT_THAT(content({"N:no\rheader"}), ElementsAre("N:", "N:no header"));
    params.replace_stray_cr_lf.set(false);
    EXPECT_THAT(content({"N", "N:one\rtwo"}), ElementsAre("N:", "N:one\rtwo"));
}

} // namespace
