#include "submission_writer.h"

#include "spool/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;
using testing::ElementsAre;

namespace
{

using Records = std::vector<std::string>;

Records decode(std::string_view bytes)
{
    Records records;
    RecordReader reader(bytes);
    for (;;) {
        const auto record = reader.next();
        if (!record || !*record)
            return records;
        records.push_back(std::string(1, static_cast<char>((*record)->type)) + ':' +
                          std::string((*record)->data));
    }
}

SubmissionEnvelope envelope()
{
    SubmissionEnvelope envelope;
    envelope.sender = "joe";
    envelope.recipients = {"ann@a.test"};
    return envelope;
}

SubmissionEnvelope from_headers()
{
    SubmissionEnvelope envelope;
    envelope.sender = "joe";
    envelope.header_recipients = true;
    return envelope;
}

// All records, or the fault's text.
Records write(const SubmissionEnvelope& from, const SubmissionRules& rules, std::string_view text,
              std::size_t piece = 100'000)
{
    SubmissionWriter writer(from, rules);
    for (std::size_t at = 0; at < text.size() && !writer.is_ended(); at += piece)
        if (const auto fed = writer.feed(text.substr(at, piece)); !fed)
            return {fed.error().context};
    if (const auto finished = writer.finish(); !finished)
        return {finished.error().context};
    return decode(writer.output());
}

Records content(const SubmissionRules& rules, std::string_view text, std::size_t piece = 100'000)
{
    const Records all = write(envelope(), rules, text, piece);
    const auto begin = std::find(all.begin(), all.end(), "M:");
    return begin == all.end() ? all : Records(begin + 1, all.end() - 2);
}

Records recipients(std::string_view text)
{
    Records found;
    for (const std::string& record : write(from_headers(), {}, text))
        if (record.starts_with("R:") || record.size() > 30)
            found.push_back(record);
    return found;
}

TEST(SubmissionWriter, WritesTheEnvelopeInOrder)
{
    SubmissionEnvelope all = envelope();
    all.recipients.emplace_back("bob");
    all.full_name = "Joe Doe";
    all.encoding = "8bit";
    all.envelope_id = "envid";
    all.verp = "+=";
    all.ret_flags = 1;
    all.notify = 6;
    all.trace_flags = 512;
    all.remote = true;
    EXPECT_THAT(write(all, {}, "Subject: x\n\ntext\n"),
                ElementsAre("A:envelope_id=envid", "A:ret_flags=1", "A:rewrite_context=remote", "F:Joe Doe",
                            "S:joe", "A:encoding=8bit", "A:trace_flags=512", "V:+=", "A:notify_flags=6",
                            "R:ann@a.test", "A:notify_flags=6", "R:bob", "M:", "N:Subject: x", "N:", "N:text",
                            "X:", "E:"));
}

TEST(SubmissionWriter, DoesNotCareWhereTheTextIsCut)
{
    const std::string text = "To: a,\r\n b\r\n\r\n.x\r\nend\rless\r\n.\r\nnever";
    const Records whole = write(from_headers(), {}, text);
    EXPECT_THAT(whole, testing::IsSupersetOf({"R:a", "R:b", "N:.x", "N:end\rless"}));
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 11u})
        EXPECT_EQ(write(from_headers(), {}, text, piece), whole) << piece;
}

TEST(SubmissionWriter, EndsAtALonelyDotUnlessToldOtherwise)
{
    EXPECT_THAT(content({}, "a\n.\nb\n"), ElementsAre("N:a"));
    SubmissionRules rules;
    rules.dot_ends = false;
    EXPECT_THAT(content(rules, "a\n.\nb\n"), ElementsAre("N:a", "N:.", "N:b"));
    EXPECT_THAT(content({}, "a\n."), ElementsAre("N:a"));
    EXPECT_THAT(content({}, "..\n.x\n"), ElementsAre("N:..", "N:.x"));
}

TEST(SubmissionWriter, TakesBothLineEnds)
{
    EXPECT_THAT(content({}, "a\r\nb\nc\r\n"), ElementsAre("N:a", "N:b", "N:c"));
    SubmissionRules rules;
    rules.endings = LineEndings::strict;
    EXPECT_THAT(content(rules, "a\nb\r\n"), ElementsAre("N:a", "N:b\r"));
    EXPECT_THAT(content(rules, "a\r\nb\r\n"), ElementsAre("N:a", "N:b"));
    rules.endings = LineEndings::never;
    EXPECT_THAT(content(rules, "a\r\nb\n"), ElementsAre("N:a\r", "N:b"));
}

TEST(SubmissionWriter, LeavesTheLastLineOpenThatHasNoEnd)
{
    EXPECT_THAT(content({}, "a\nb"), ElementsAre("N:a", "L:b"));
    EXPECT_THAT(content({}, "a\nb\r"), ElementsAre("N:a", "L:b\r"));
    EXPECT_THAT(content({}, ""), ElementsAre());
}

TEST(SubmissionWriter, KeepsNulAndLongLines)
{
    const std::string x(2048, 'x');
    const std::string text = x + x + "yz\n" + std::string("a\0b\n", 4);
    for (const std::size_t piece : {100'000u, 1000u, 2049u})
        EXPECT_THAT(content({}, text, piece),
                    ElementsAre("L:" + x, "L:" + x, "N:yz", std::string("N:a\0b", 5)));
    EXPECT_THAT(content({}, x + "\r\n", 2049), ElementsAre("L:" + x, "N:"));
}

TEST(SubmissionWriter, LeavesMailboxSeparatorsOut)
{
    EXPECT_THAT(content({}, "From joe Sun\n>From ann\nFrom: x\n\nFrom me\n"),
                ElementsAre("N:From: x", "N:", "N:From me"));
}

TEST(SubmissionWriter, TakesAllCarriageReturnsAtAnEnd)
{
    EXPECT_THAT(content({}, "a\r\r\nb\rc\n"), ElementsAre("N:a", "N:b\rc"));
}

TEST(SubmissionWriter, PutsHeaderRecipientsBehindTheContent)
{
    SubmissionEnvelope named = from_headers();
    named.notify = 1;
    EXPECT_THAT(write(named, {}, "To: bob\n\nx\n"),
                ElementsAre("A:rewrite_context=local", "S:joe", "M:", "N:To: bob", "N:", "N:x",
                            "X:", "A:notify_flags=1", "R:bob", "E:"));
}

TEST(SubmissionWriter, FindsRecipientsInHeaders)
{
    EXPECT_THAT(recipients("From: x\nTo: Ann <ann@a.test>,\n bob (Bob)\nCc: c@c.test\nBcc: secret@d.test\n"
                           "Subject: To: none\n\nTo: no@body.test\n"),
                ElementsAre("R:ann@a.test", "R:bob", "R:c@c.test", "R:secret@d.test"));
    EXPECT_THAT(recipients("To: old@a.test\nResent-To: new@b.test\n\n"), ElementsAre("R:new@b.test"));
    EXPECT_THAT(recipients("To: only@headers.test"), ElementsAre("R:only@headers.test"));
    EXPECT_THAT(recipients("Subject: x\n\n"), ElementsAre("No recipient addresses found in message header"));
}

TEST(SubmissionWriter, AddsHeaderRecipientsToThoseGiven)
{
    SubmissionEnvelope both = envelope();
    both.header_recipients = true;
    EXPECT_THAT(write(both, {}, "To: bob\n\n"), testing::IsSupersetOf({"R:ann@a.test", "R:bob"}));
}

TEST(SubmissionWriter, RefusesWhatIsTooBig)
{
    SubmissionRules rules;
    rules.size_limit = 10;
    EXPECT_THAT(content(rules, "12345678\n"), ElementsAre("N:12345678"));
    EXPECT_THAT(content(rules, "123456789\n"), ElementsAre("Message file too big"));
}

} // namespace
