#include "support.h"

#include "os/files.h"
#include "spool/envelope.h"

#include <gmock/gmock.h>

#include <algorithm>

using namespace bulkhead;
using testing::ElementsAre;
using testing::HasSubstr;

namespace
{

const Records simple{
    "T:1795331558 710110", "S:s@a.test", "R:r@b.test", "M", "N:Subject: x", "N", "N:text", "X", "E"};

// A file's envelope, C and times apart.
Records envelope_of(const Records& file)
{
    const auto end = std::ranges::find(file, "M:");
    return Records(std::ranges::find_if(file, [](const auto& r) { return r.starts_with("S:"); }), end);
}

TEST_F(Assembly, WritesTheWholeFileByteForByte)
{
    flags |= ipc::cleanup_flag::rewrite_local;
    const std::string file =
        assemble_bytes(encode({"T:1795331558 710110",
                               "A:envelope_id=envid1",
                               "A:ret_flags=1",
                               "A:rewrite_context=local",
                               "F:Full Name",
                               "S:s@fmap.test",
                               "A:encoding=8bit",
                               "V:+=",
                               "A:notify_flags=6",
                               "R:r@refuse.test",
                               "A:notify_flags=6",
                               "R:user1@local.test",
                               "M",
                               "N:Received: by mx.fmap.test (Postfix, from userid 0)",
                               "N:\tid 09EBAA760DC; Sun, 22 Nov 2026 07:12:38 +0000 (UTC)",
                               "N:From: a@mx.fmap.test",
                               "N:Subject: maildrop example",
                               "N:Message-Id: <20261122071246.09EBAA760DC@mx.fmap.test>",
                               "N:Date: Sun, 22 Nov 2026 07:12:38 +0000 (UTC)",
                               "N",
                               "N:line one",
                               "N:line two",
                               "X",
                               "E"}));
    // The same message as Postfix 3.7 has stored it, one recipient being done since.
    std::string expected = *read_file(TEST_DATA "/queue-files/deferred-verp-dsn-from-sendmail.09EBAA760DC");
    ASSERT_EQ(expected.at(394), 'D');
    expected[394] = 'R';
    EXPECT_EQ(decode(file), decode(expected));
    EXPECT_EQ(file, expected);
    const auto read = parse_envelope(file);
    ASSERT_TRUE(read) << read.error().context;
    EXPECT_EQ(read->recipients.size(), 2u);
    EXPECT_EQ(read->create_time, 1795331566);
}

TEST_F(Assembly, DoesNotCareWhereTheStreamIsCut)
{
    const std::string bytes = encode(simple);
    const std::string whole = assemble_bytes(bytes);
    ASSERT_TRUE(result.ok());
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 50u})
        EXPECT_EQ(assemble_bytes(bytes, piece), whole) << piece;
}

TEST_F(Assembly, CompletesAddressesAndKeepsWhatWasReceived)
{
    EXPECT_THAT(envelope_of(assemble({"S:joe", "R:ann", "R:b b@c.test", "M", "N:X: y", "X", "E"})),
                ElementsAre("S:joe@origin.test", "A:dsn_orig_rcpt=rfc822;ann@origin.test", "O:ann",
                            "R:ann@origin.test", "A:dsn_orig_rcpt=rfc822;\"b b\"@c.test", "O:b b@c.test",
                            "R:b b@c.test"));
}

TEST_F(Assembly, KeepsOriginalRecipientsThatTheClientNames)
{
    EXPECT_THAT(envelope_of(assemble({"S:", "A:dsn_orig_rcpt=rfc822;first@x.test", "O:second@x.test",
                                      "R:r@b.test", "M", "N:X: y", "X", "E"})),
                ElementsAre("S:", "A:dsn_orig_rcpt=rfc822;first@x.test", "O:second@x.test", "R:r@b.test"));
}

TEST_F(Assembly, WarnsSendersOnlyWhoCanBeWarned)
{
    params.delay_warning_time.set(Seconds(3600));
    EXPECT_THAT(envelope_of(assemble(simple)), testing::Contains("W:     1795335158"));
    Records null_sender = simple;
    null_sender[1] = "S:";
    EXPECT_THAT(envelope_of(assemble(null_sender)),
                testing::Not(testing::Contains(testing::StartsWith("W:"))));
}

TEST_F(Assembly, DropsDuplicates)
{
    const Records twice{"S:s@a.test", "R:r@b.test", "R:r@B.test", "R:r@b.test", "M", "N:X: y", "X", "E"};
    assemble(twice);
    EXPECT_EQ(sizes.recipients, 2);
    params.enable_original_recipient.set(false);
    assemble(twice);
    EXPECT_EQ(sizes.recipients, 1);
}

TEST_F(Assembly, TakesRecipientsBehindTheContent)
{
    const Records file =
        assemble({"S:s@a.test", "M", "N:X: y", "X", ">:redir@c.test", "L:smtp:[127.0.0.1]", "R:late", "E"});
    ASSERT_TRUE(result.ok());
    EXPECT_THAT(Records(std::ranges::find(file, "X:"), file.end()),
                ElementsAre("X:", ">:redir@c.test", "L:smtp:[127.0.0.1]",
                            "A:dsn_orig_rcpt=rfc822;late@origin.test", "O:late", "R:late@origin.test", "E:"));
}

TEST_F(Assembly, ExpandsAliases)
{
    params.virtual_alias_maps.set(
        "inline:{{list@v.test=ann, bob@c.test, list2@v.test}, "
        "{list2@v.test=list2@v.test, eve@d.test}, @cat.test=@dog.test, x@v.test=y@w.test}");
    EXPECT_THAT(envelope_of(assemble({"S:s@a.test", "R:list@v.test", "M", "N:X: y", "X", "E"})),
                ElementsAre("S:s@a.test", "A:dsn_orig_rcpt=rfc822;list@v.test", "O:list@v.test",
                            "R:ann@origin.test", "A:dsn_orig_rcpt=rfc822;list@v.test", "O:list@v.test",
                            "R:bob@c.test", "A:dsn_orig_rcpt=rfc822;list@v.test", "O:list@v.test",
                            "R:list2@v.test", "A:dsn_orig_rcpt=rfc822;list@v.test", "O:list@v.test",
                            "R:eve@d.test"));
    EXPECT_THAT(
        envelope_of(assemble({"S:s@a.test", "R:joe+q@cat.test", "R:x+ext@v.test", "M", "N:X: y", "X", "E"})),
        testing::IsSupersetOf({"R:joe+q@dog.test", "R:y+ext@w.test"}));
    flags = 0;
    EXPECT_THAT(envelope_of(assemble({"S:s@a.test", "R:list@v.test", "M", "N:X: y", "X", "E"})),
                testing::Contains("R:list@v.test"));
}

TEST_F(Assembly, LosesNoMailToAliasesThatGoRoundInCircles)
{
    params.virtual_alias_maps.set("inline:{a@v.test=b@v.test, b@v.test=a@v.test}");
    assemble({"S:s@a.test", "R:a@v.test", "M", "N:X: y", "X", "E"});
    EXPECT_EQ(result.status, ipc::cleanup_status::temporary);
}

TEST_F(Assembly, BoundsWhatAliasesBecome)
{
    params.virtual_alias_maps.set("inline:{{a@v.test=1@x.test, 2@x.test, 3@x.test}, {c@v.test=d@v.test}, "
                                  "{d@v.test=e@v.test}, {e@v.test=f@v.test}}");
    params.alias_expansion_limit.set(2);
    params.alias_recursion_limit.set(2);
    assemble({"S:s@a.test", "R:a@v.test", "M", "N:X: y", "X", "E"});
    EXPECT_EQ(result.status, ipc::cleanup_status::temporary);
    assemble({"S:s@a.test", "R:c@v.test", "M", "N:X: y", "X", "E"});
    EXPECT_EQ(result.status, ipc::cleanup_status::temporary);
}

TEST_F(Assembly, MapsCanonicalAddressesInTwoSteps)
{
    params.sender_canonical_maps.set("inline:{joe@origin.test=Joe.Doe}");
    params.canonical_maps.set("inline:{joe.doe@origin.test=jd@corp.test, r@b.test=R.R@b.test}");
    EXPECT_THAT(envelope_of(assemble({"S:joe", "R:r+x@b.test", "M", "N:X: y", "X", "E"})),
                ElementsAre("S:jd@corp.test", "A:dsn_orig_rcpt=rfc822;R.R+x@b.test", "O:r+x@b.test",
                            "R:R.R+x@b.test"));
}

TEST_F(Assembly, SendsCopiesWhoseTroublesStayHere)
{
    params.always_bcc.set("archive@c.test");
    params.sender_bcc_maps.set("inline:{s@a.test=boss}");
    params.recipient_bcc_maps.set("inline:{@b.test=watch@d.test}");
    const Records envelope = envelope_of(assemble(simple));
    EXPECT_THAT(envelope, testing::IsSupersetOf(
                              {"R:r@b.test", "R:archive@c.test", "R:boss@origin.test", "R:watch@d.test"}));
    EXPECT_EQ(std::ranges::count(envelope, "A:notify_flags=1"), 3);
    EXPECT_EQ(sizes.recipients, 4);
}

TEST_F(Assembly, MakesABrokenTableATemporaryFailure)
{
    for (auto CleanupParams::* map :
         {&CleanupParams::canonical_maps, &CleanupParams::sender_canonical_maps,
          &CleanupParams::recipient_canonical_maps, &CleanupParams::virtual_alias_maps,
          &CleanupParams::sender_bcc_maps, &CleanupParams::recipient_bcc_maps}) {
        (params.*map).set("fail:down");
        assemble(simple);
        EXPECT_EQ(result.status, ipc::cleanup_status::temporary) << (params.*map).name();
        (params.*map).set("");
    }
    completer.fails = true;
    assemble(simple);
    EXPECT_EQ(result.status, ipc::cleanup_status::temporary);
}

TEST_F(Assembly, WantsARecipient)
{
    assemble({"S:s@a.test", "M", "N:X: y", "X", "E"});
    EXPECT_EQ(result.status, ipc::cleanup_status::no_recipient);
}

struct HostileRow {
    std::string_view name;
    Records records;
};
class Hostile : public Assembly, public testing::WithParamInterface<HostileRow>
{
};

TEST_P(Hostile, IsRefused)
{
    assemble(GetParam().records);
    EXPECT_EQ(result.status, ipc::cleanup_status::bad);
}

INSTANTIATE_TEST_SUITE_P(
    Records, Hostile,
    testing::Values(
        HostileRow{"Nothing", {}}, HostileRow{"NoSender", {"R:r@b.test", "M", "X", "E"}},
        HostileRow{"RecipientFirst", {"R:r@b.test", "S:s@a.test", "M", "X", "E"}},
        HostileRow{"TwoSenders", {"S:s@a.test", "S:t@a.test", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"NoEnd", {"S:s@a.test", "R:r@b.test", "M", "N:X: y", "X"}},
        HostileRow{"NoContentEnd", {"S:s@a.test", "R:r@b.test", "M", "N:X: y"}},
        HostileRow{"BehindTheEnd", {"S:s@a.test", "R:r@b.test", "M", "N:X: y", "X", "E", "E"}},
        HostileRow{"LineBreak", {"S:s@a.test", "R:r@b.test\nx", "M", "N:X: y", "X", "E"}},
        HostileRow{"CarriageReturn", {"S:s\r@a.test", "R:r@b.test", "M", "N:X: y", "X", "E"}},
        HostileRow{"Nul", {std::string("S:s\0@a.test", 11), "R:r@b.test", "M", "N:X: y", "X", "E"}},
        HostileRow{"SizeRecord", {"C:1 2 3", "S:s@a.test", "R:r@b.test", "M", "N:X: y", "X", "E"}},
        HostileRow{"DoneRecipient", {"S:s@a.test", "D:r@b.test", "M", "N:X: y", "X", "E"}},
        HostileRow{"Pointer", {"S:s@a.test", "R:r@b.test", "p:             99", "M", "N:X: y", "X", "E"}},
        HostileRow{"PointerInContent",
                   {"S:s@a.test", "R:r@b.test", "M", "N:X: y", "p:             99", "X", "E"}},
        HostileRow{"PointerInBody", {"S:s@a.test", "R:r@b.test", "M", "N", "p:             99", "X", "E"}},
        HostileRow{"WarnTime", {"S:s@a.test", "W:             99", "R:r@b.test", "M", "N:X: y", "X", "E"}},
        HostileRow{"SenderBehindContent",
                   {"S:s@a.test", "R:r@b.test", "M", "N:X: y", "X", "S:t@a.test", "E"}},
        HostileRow{"TypeZero", {std::string("\0", 1), "S:s@a.test", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"BadTime", {"T:soon", "S:s@a.test", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"BadEncoding", {"S:s@a.test", "A:encoding=x", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"BadNotify", {"S:s@a.test", "A:notify_flags=99", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"BadTrace", {"A:trace_flags=65536", "S:s@a.test", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"NamelessAttribute", {"A:=x", "S:s@a.test", "R:r@b.test", "M", "X", "E"}},
        HostileRow{"LongSender", {"S:" + std::string(9000, 'x'), "R:r@b.test", "M", "X", "E"}},
        HostileRow{"LongLine",
                   {"S:s@a.test", "R:r@b.test", "M", "N", "N:" + std::string(70000, 'x'), "X", "E"}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Assembly, RefusesTooManyAttributes)
{
    Records records{"S:s@a.test"};
    records.insert(records.end(), 101, "A:x_bulkhead_test=1");
    records.insert(records.end(), {"R:r@b.test", "M", "N:X: y", "X", "E"});
    assemble(records);
    EXPECT_EQ(result.status, ipc::cleanup_status::bad);
}

TEST_F(Assembly, DropsAttributesThatItDoesNotKnow)
{
    EXPECT_THAT(envelope_of(assemble({"S:s@a.test", "A:create_time=1", "A:who_knows=1", "A:x_bulkhead_a=1",
                                      "A:encoding=", "R:r@b.test", "M", "N:X: y", "X", "E"})),
                ElementsAre("S:s@a.test", "A:x_bulkhead_a=1", "A:dsn_orig_rcpt=rfc822;r@b.test", "O:r@b.test",
                            "R:r@b.test"));
}

TEST_F(Assembly, LeavesARefusedMessageReadableForANotice)
{
    flags |= ipc::cleanup_flag::bounce_errors;
    params.message_size_limit.set(100);
    Records records = simple;
    records.insert(records.begin() + 6, 20, "N:one line more of text");
    const std::string file = assemble_bytes(encode(records));
    EXPECT_EQ(result.status, ipc::cleanup_status::too_big);
    const auto read = parse_envelope(file);
    ASSERT_TRUE(read) << read.error().context;
    ASSERT_EQ(written.size(), 1u);
    EXPECT_EQ(read->recipients.at(0).offset, written[0].offset);
}

TEST_F(Assembly, CountsTheSizeOfTheContentOnly)
{
    Records records = simple;
    params.message_size_limit.set(2 + 10 + 2 + 2 + 4);
    assemble(records);
    EXPECT_TRUE(result.ok());
    params.message_size_limit.set(2 + 10 + 2 + 2 + 3);
    assemble(records);
    EXPECT_EQ(result.status, ipc::cleanup_status::too_big);
}

TEST(CleanupParams, AgreeWithTheTableOfNames)
{
    EXPECT_THAT(CleanupParams().disagreements(), ElementsAre());
}

} // namespace
