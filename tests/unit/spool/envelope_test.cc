#include "spool/envelope.h"

#include "support.h"

#include <gmock/gmock.h>

namespace bulkhead
{

using testing::ElementsAre;
using namespace std::literals;

static std::vector<std::string> addresses(const std::vector<Recipient>& recipients)
{
    std::vector<std::string> shown;
    for (const Recipient& recipient : recipients)
        shown.push_back(recipient.address);
    return shown;
}

static std::string text_of(std::string_view file, const MessageSizes& sizes)
{
    std::string text;
    ContentReader reader(file, sizes.data_offset);
    const auto more = reader.read_text(text, 1 << 20);
    EXPECT_TRUE(more) << (more ? "" : more.error().context);
    return text;
}

TEST(Envelope, ReadsFourRecipientsThreeDone)
{
    const std::string file = fixture("deferred-4rcpt-3done.A12B6A76072");
    const auto envelope = parse_envelope(file);
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->sizes, (MessageSizes{354, 488, 4, 0, 354, 0}));
    EXPECT_EQ(envelope->arrival, (WallTime{1795332284, 642171}));
    EXPECT_EQ(envelope->create_time, 1795332284);
    EXPECT_EQ(envelope->sender, "user1@local.test");
    EXPECT_EQ(envelope->full_name, "root");
    EXPECT_EQ(envelope->rewrite_context, "local");
    EXPECT_EQ(envelope->warn_time, 1795346684);
    EXPECT_EQ(file[static_cast<std::size_t>(envelope->warn_offset)], 'W');
    EXPECT_THAT(addresses(envelope->recipients), ElementsAre("t4a@script.test"));
    EXPECT_EQ(envelope->recipients[0].offset, 259); // as the defer log of the same message says
    EXPECT_EQ(envelope->recipients[0].dsn_original, "rfc822;t4a@script.test");
    EXPECT_EQ(envelope->recipients_done, 3u);
    EXPECT_FALSE(envelope->next);
}

TEST(Envelope, FollowsTheEditsOfAMilter)
{
    const std::string file = fixture("deferred-milter-edited.07A05A76068");
    EnvelopeOptions options;
    options.with_done = true;
    const auto envelope = parse_envelope(file, options);
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->sender, "newfrom@local.test");
    EXPECT_EQ(envelope->log_ident, "4jXLDn0CXjz1bgHB");
    EXPECT_THAT(addresses(envelope->recipients),
                ElementsAre("r1@refuse.test", "r2@refuse.test", "added@refuse.test"));
    EXPECT_EQ(envelope->recipients[0].offset, 662);
    EXPECT_EQ(envelope->recipients[1].state, RecipientState::cancelled);
    EXPECT_EQ(envelope->recipients[2].offset, 1321);
    EXPECT_EQ(envelope->message_size(), 380);
    EXPECT_EQ(envelope->attribute("client_address_type"), "2");
    EXPECT_EQ(text_of(file, envelope->sizes), "X-Inserted: top value\n"
                                              "Received: from client.test (localhost [127.0.0.1])\n"
                                              "\tby mx.fmap.test (Postfix) with ESMTP id 4jXLDn0CXjz1bgHB;\n"
                                              "\tSun, 22 Nov 2026 07:24:41 +0000 (UTC)\n"
                                              "From: a@b.test\n"
                                              "To: x@y.test\n"
                                              "Message-ID: <edit@b.test>\n"
                                              "Subject: new subject\n"
                                              "Date: Sun, 22 Nov 2026 07:24:41 +0000 (UTC)\n"
                                              "X-Added: tail value\n"
                                              "\n"
                                              "replaced body\n"
                                              "line 2 which is much longer than the original one\n");
}

TEST(Envelope, ReadsTheExtractedSegment)
{
    const auto envelope = parse_envelope(fixture("hold-sasl-filter-redirect-from-smtpd.38690A76075"));
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->redirect, "r9@refuse.test");
    EXPECT_EQ(envelope->content_filter, "smtp:[127.0.0.1]:32098");
    EXPECT_EQ(envelope->attribute("sasl_username"), "joe");
    EXPECT_EQ(envelope->attribute("log_client_address"), "127.0.0.1");
    EXPECT_EQ(envelope->attribute("nothing"), "");
    EXPECT_THAT(addresses(envelope->recipients),
                ElementsAre("redir@local.test", "prep@local.test", "bcc@local.test", "user1@local.test"));
    EXPECT_EQ(envelope->warn_offset, 0);
}

TEST(Envelope, ReadsVerpAndDeliveryNotices)
{
    const auto envelope = parse_envelope(fixture("deferred-verp-dsn-from-sendmail.09EBAA760DC"));
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->verp, "+=");
    EXPECT_EQ(envelope->envelope_id, "envid1");
    EXPECT_EQ(envelope->ret_flags, dsn_ret::full);
    EXPECT_EQ(envelope->encoding, "8bit");
    EXPECT_EQ(envelope->full_name, "Full Name");
    EXPECT_EQ(envelope->recipients.at(0).notify, notify::success | notify::failure);
    EXPECT_EQ(envelope->recipients.at(0).offset, 306);
    EXPECT_EQ(envelope->create_time, 1795331566);
}

TEST(Envelope, ReadsASubmission)
{
    const std::string file = fixture("maildrop-verp-dsn.AD607A76053");
    EXPECT_FALSE(parse_envelope(file));
    EnvelopeOptions options;
    options.submission = true;
    const auto envelope = parse_envelope(file, options);
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_THAT(addresses(envelope->recipients), ElementsAre("r@refuse.test", "user1@local.test"));
    EXPECT_EQ(text_of(file, envelope->sizes), "From: a\nSubject: maildrop example\n\nline one\nline two\n");
}

TEST(Envelope, LeavesOutWhatNobodyAsksFor)
{
    const std::string file = fixture("hold-sasl-filter-redirect-from-smtpd.38690A76075");
    EnvelopeOptions options;
    const auto all = parse_envelope(file, options);
    options.with_attributes = false;
    const auto envelope = parse_envelope(file, options);
    ASSERT_TRUE(all && envelope);
    EXPECT_FALSE(all->attributes.empty());
    EXPECT_TRUE(envelope->attributes.empty());
    EXPECT_EQ(envelope->sender, all->sender);
    EXPECT_EQ(envelope->encoding, all->encoding);
    EXPECT_EQ(envelope->rewrite_context, all->rewrite_context);
    EXPECT_EQ(addresses(envelope->recipients), addresses(all->recipients));
    EXPECT_EQ(envelope->content_filter, all->content_filter);
}

// Recipients in slices must be the recipients read at once, wherever they stand.
static void expect_same_in_slices(std::string_view file, std::size_t slice)
{
    const auto whole = parse_envelope(file);
    ASSERT_TRUE(whole) << whole.error().context;
    EnvelopeOptions options;
    options.max_recipients = slice;
    auto first = parse_envelope(file, options);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->recipients.size() + first->recipients_unread, whole->recipients.size());
    std::vector<std::string> seen = addresses(first->recipients);
    std::size_t done = first->recipients_done;
    for (RecipientCursor next = first->next; next;) {
        const auto batch = parse_recipients(file, first->sizes, next, slice);
        ASSERT_TRUE(batch) << batch.error().context;
        ASSERT_FALSE(batch->recipients.empty());
        for (const Recipient& recipient : batch->recipients) {
            const auto& same = whole->recipients.at(seen.size());
            EXPECT_EQ(recipient.original, same.original);
            EXPECT_EQ(recipient.dsn_original, same.dsn_original);
            EXPECT_EQ(recipient.notify, same.notify);
            EXPECT_EQ(recipient.offset, same.offset);
            seen.push_back(recipient.address);
        }
        done += batch->recipients_done;
        next = batch->next;
    }
    EXPECT_EQ(seen, addresses(whole->recipients));
    EXPECT_EQ(done, whole->recipients_done);
}

TEST(Envelope, RecipientsCanBeReadInSlices)
{
    for (const auto* name :
         {"deferred-4rcpt-3done.A12B6A76072", "deferred-milter-edited.07A05A76068",
          "deferred-verp-dsn-from-sendmail.09EBAA760DC", "hold-sasl-filter-redirect-from-smtpd.38690A76075"})
        for (const std::size_t slice : {1u, 2u, 3u, 10u})
            expect_same_in_slices(fixture(name), slice);
    expect_same_in_slices(message("a@b", {"1@x", "2@x", "3@x", "4@x", "5@x"}, {"Subject: s"}), 2);
}

TEST(Envelope, JumpsOverLargeContentInAFile)
{
    const std::string line(1000, 'z');
    std::string content;
    for (int i = 0; i < 1000; ++i)
        append_text(content, line);
    std::string file = message("a@b", {"1@x", "2@x"}, {"x"});
    auto sizes = parse_envelope(file)->sizes;
    file.resize(static_cast<std::size_t>(sizes.data_offset));
    sizes.content_bytes = static_cast<std::int64_t>(content.size());
    std::string head;
    append_size_record(head, sizes);
    file.replace(0, head.size(), head);
    file += content;
    append_record(file, RecordType::extracted_start, "");
    append_attribute(file, "encoding", "7bit");
    append_record(file, RecordType::end, "");

    std::FILE* temporary = std::tmpfile();
    ASSERT_EQ(std::fwrite(file.data(), 1, file.size(), temporary), file.size());
    std::fflush(temporary);
    const auto envelope = read_envelope(::fileno(temporary));
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->encoding, "7bit");
    EXPECT_EQ(envelope->recipients.size(), 2u);
    ContentReader reader(::fileno(temporary), envelope->sizes.data_offset);
    std::string text;
    bool more = true;
    while (more) {
        auto result = reader.read_text(text, text.size() + 5000, "\r\n");
        ASSERT_TRUE(result);
        more = *result;
    }
    EXPECT_EQ(text.size(), 1002u * 1000);
    std::fclose(temporary);
}

TEST(Envelope, ReadsFilesOfTheFirstGeneration)
{
    std::string file;
    append_record(file, RecordType::size, "              9");
    append_record(file, RecordType::arrival_time, "1000000000");
    append_record(file, RecordType::sender, "");
    append_record(file, RecordType::recipient, "a@b");
    append_record(file, RecordType::message_start, "");
    const auto data_offset = static_cast<std::int64_t>(file.size());
    append_text(file, "Subject: x");
    append_record(file, RecordType::extracted_start, "");
    append_record(file, RecordType::end, "");
    const auto envelope = parse_envelope(file);
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->sizes.data_offset, data_offset);
    EXPECT_EQ(envelope->sizes.content_bytes, 12);
    EXPECT_EQ(envelope->create_time, 1000000000);
}

// ---- What belongs in corrupt/ -----------------------------------------------

static void expect_corrupt(std::string_view file, std::string_view why)
{
    const auto envelope = parse_envelope(file);
    ASSERT_FALSE(envelope) << why;
    EXPECT_EQ(envelope.error().fault, Fault::malformed);
    EXPECT_THAT(envelope.error().context, testing::HasSubstr(why));
}

static std::string replaced(std::string file, std::string_view what, std::string_view with)
{
    const std::size_t at = file.find(what);
    EXPECT_NE(at, std::string::npos);
    return file.replace(at, what.size(), with);
}

TEST(CorruptFile, IsRecognised)
{
    const std::string good = message("a@b", {"r@s"}, {"Subject: x", "", "body"});
    ASSERT_TRUE(parse_envelope(good));
    expect_corrupt("", "no end record");
    expect_corrupt(good.substr(0, good.size() - 2), "no end record");
    expect_corrupt(good.substr(0, good.size() - 4), "no end record");
    expect_corrupt(good.substr(0, 200), "cut short");
    expect_corrupt(good.substr(size_record_bytes), "does not start with a size record");
    expect_corrupt(replaced(good, "T\x11", "K\x11"), "no arrival time");
    expect_corrupt(replaced(good, "1795332284 642171", "17953322x4 642171"), "bad arrival time");
    expect_corrupt(replaced(good, "S\x03", "K\x03"), "before the sender");
    expect_corrupt(replaced(good, "R\x03r@s", "S\x03r@s"), "second sender");
    expect_corrupt(replaced(good, "R\x03r@s", "Z\x03r@s"), "does not belong");
    expect_corrupt(replaced(good, "R\x03r@s", "f\x03r@s"), "does not belong");
    expect_corrupt(replaced(good, "X\0"sv, "M\0"sv), "does not belong");
    expect_corrupt(replaced(good, "E\0"sv, "E\xff"sv), "cut short");
    expect_corrupt(replaced(good, "M\0N"sv, "K\0N"sv), "does not belong in the envelope");
    expect_corrupt(replaced(good, "C_  ", "C_x "), "bad number");
}

TEST(CorruptFile, PointerLoopEnds)
{
    std::string file = message("a@b", {"r@s"}, {"Subject: x", "", "body"});
    std::string loop;
    append_fixed_number(loop, RecordType::pointer, static_cast<std::int64_t>(size_record_bytes));
    file = replaced(file, "A\x15rewrite_context=local",
                    loop + "A\x04"
                           "x=yz");
    expect_corrupt(file, "loop");
    loop.clear();
    append_fixed_number(loop, RecordType::pointer, -5);
    file.replace(file.find("p\x0f"), 17, loop);
    expect_corrupt(file, "bad pointer");
}

TEST(RecordStream, ShowsPointersInFileOrder)
{
    const std::string file = fixture("deferred-milter-edited.07A05A76068");
    RecordStream records(file, Pointers::show);
    std::size_t pointers = 0;
    // A linear walk of an edited file meets garbage behind the overwritten records.
    for (auto record = records.next(); record && *record; record = records.next())
        pointers += (*record)->is(RecordType::pointer);
    EXPECT_GE(pointers, 1u);
}

TEST(ContentReader, ContentWithoutEndIsAnError)
{
    std::string file;
    append_text(file, "line");
    ContentReader reader(file, 0);
    EXPECT_TRUE(*reader.next());
    EXPECT_FALSE(reader.next());
}

} // namespace bulkhead
