#include "ipc/bounce.h"
#include "ipc/delivery.h"
#include "ipc/message.h"
#include "ipc/showq.h"

#include <gtest/gtest.h>

namespace bulkhead::ipc
{
namespace
{

TEST(Message, KeepsItsAttributesInOrder)
{
    Message message(Kind::deliver);
    message.add("a", "1").add("b", std::string_view("\0x", 2)).add("a", "2");
    std::string wire;
    message.encode(wire);
    const auto header = parse_frame_header(std::string_view(wire).substr(0, frame_header_size));
    ASSERT_TRUE(header);
    EXPECT_EQ(header->kind, Kind::deliver);
    EXPECT_EQ(header->body_size, wire.size() - frame_header_size);
    const Message copy(header->kind, wire.substr(frame_header_size));
    EXPECT_EQ(copy.find("a"), "1");
    EXPECT_EQ(copy.find("b"), std::string_view("\0x", 2));
    EXPECT_FALSE(copy.find("c"));
}

struct BadHeader {
    const char* name;
    std::string_view bytes;
};

class FrameHeaderRefuses : public testing::TestWithParam<BadHeader>
{
};

TEST_P(FrameHeaderRefuses, BadBytes)
{
    EXPECT_FALSE(parse_frame_header(GetParam().bytes));
}

using namespace std::string_view_literals;
INSTANTIATE_TEST_SUITE_P(Frames, FrameHeaderRefuses,
                         testing::Values(BadHeader{"TooShort", "\xb5\x01\x01"sv},
                                         BadHeader{"NoMagic", "W\x01\x01\0\0\0\0\0"sv},
                                         BadHeader{"OtherVersion", "\xb5\x02\x01\0\0\0\0\0"sv},
                                         BadHeader{"UnknownKind", "\xb5\x01\x7f\0\0\0\0\0"sv},
                                         BadHeader{"KindZero", "\xb5\x01\0\0\0\0\0\0"sv},
                                         BadHeader{"TooLarge", "\xb5\x01\x01\0\xff\xff\xff\xff"sv}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Message, ABodyWithACutAttributeIsRefused)
{
    Message message(Kind::ok);
    message.add("name", "value").add("more", "x");
    for (std::size_t size = 1; size < message.body().size(); ++size)
        if (size != 14) // the end of the first attribute
            EXPECT_FALSE(check_attributes(std::string_view(message.body()).substr(0, size))) << size;
    EXPECT_TRUE(check_attributes(message.body()));
}

TEST(DeliveryRequest, ComesBackAsItWas)
{
    DeliveryRequest request;
    request.queue_name = "active";
    request.queue_id = "4F2C1";
    request.nexthop = "[127.0.0.1]:25";
    request.sender = "a b@example.test";
    request.arrival = {1795330850, 12};
    request.content_length = 123456789012;
    request.recipients = {{242, "r@example.test", "R@example.test", "rfc822;R@example.test", 6},
                          {300, "s@example.test", "", "", 0}};
    const auto copy = decode_delivery_request(encode(request));
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->sender, request.sender);
    EXPECT_EQ(copy->arrival, request.arrival);
    EXPECT_EQ(copy->content_length, request.content_length);
    ASSERT_EQ(copy->recipients.size(), 2u);
    EXPECT_EQ(copy->recipients[0].dsn_original, "rfc822;R@example.test");
    EXPECT_EQ(copy->recipients[0].notify, 6u);
    EXPECT_EQ(copy->recipients[1].offset, 300);
}

TEST(DeliveryRequest, WithoutRecipientsIsRefused)
{
    EXPECT_FALSE(decode_delivery_request(encode(DeliveryRequest{})));
}

TEST(DeliveryReport, ComesBackAsItWas)
{
    DeliveryReport report;
    report.outcomes = {DeliveryOutcome::sent, DeliveryOutcome::deferred, DeliveryOutcome::bounced};
    report.site_dsn = "4.4.1";
    report.site_reason = "connect to x";
    const auto copy = decode_delivery_report(encode(report));
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->outcomes, report.outcomes);
    EXPECT_EQ(copy->site_reason, report.site_reason);
}

TEST(BounceAppend, ComesBackAsItWas)
{
    BounceAppend append;
    append.queue_id = "ABC12";
    append.entry.recipient = "a@example.test";
    append.entry.offset = 99;
    append.entry.status = "5.1.1";
    append.entry.action = "failed";
    append.entry.reason = "no such user";
    const auto copy = decode_bounce_append(encode(append));
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->queue_id, "ABC12");
    EXPECT_EQ(copy->entry, append.entry);
}

} // namespace
} // namespace bulkhead::ipc
