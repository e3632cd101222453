#include "milter/protocol.h"
#include "milter/settings.h"

#include <gtest/gtest.h>

using namespace std::literals;

namespace bulkhead::milter
{

struct ReplyRow {
    const char* name;
    std::string_view packet;
    const char* summary; // null: refused
};
class ReplyCode : public testing::TestWithParam<ReplyRow>
{
};
TEST_P(ReplyCode, IsReadOrRefused)
{
    const auto reply = parse_reply_code(GetParam().packet);
    ASSERT_EQ(static_cast<bool>(reply), GetParam().summary != nullptr);
    if (reply)
        EXPECT_EQ(reply->summary(), GetParam().summary);
}
INSTANTIATE_TEST_SUITE_P(Packets, ReplyCode,
                         testing::Values(ReplyRow{"One", "550 5.7.1 no\0"sv, "550 5.7.1 no"},
                                         ReplyRow{"NoStatus", "450 later\0"sv, "450 later"},
                                         ReplyRow{"Two", "552-5.9.1 a\r\n552 5.9.1 b\0"sv, "552 5.9.1 a b"},
                                         ReplyRow{"Percent", "451 4.1.1 100%%\0"sv, "451 4.1.1 100%"},
                                         ReplyRow{"NoEnd", "550 5.7.1 no"sv, nullptr},
                                         ReplyRow{"Success", "250 2.0.0 ok\0"sv, nullptr},
                                         ReplyRow{"TwoCodes", "550-a\r\n450 b\0"sv, nullptr},
                                         ReplyRow{"OtherClass", "550 4.7.1 a\0"sv, nullptr},
                                         ReplyRow{"Control", "550 5.7.1 a\x01\0"sv, nullptr},
                                         ReplyRow{"Empty", "\0"sv, nullptr}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(MilterEdit, HeaderValueCannotEndTheHeader)
{
    const auto edit = parse_edit('h', "X-A\0a\nBcc: b\0"sv, action::add_headers);
    ASSERT_TRUE(edit && *edit);
    EXPECT_EQ((*edit)->value, "a\n\tBcc: b");
}

TEST(MilterEdit, NeedsTheRightThatWasAgreedUpon)
{
    const auto edit = parse_edit('b', "text"sv, action::add_headers);
    ASSERT_FALSE(edit);
    EXPECT_EQ(edit.error().fault, Fault::refused);
}

TEST(MilterEdit, BadHeaderNamesAreRefused)
{
    for (const std::string_view data : {"a b\0x\0"sv, "\0x\0"sv, "a:\0x\0"sv, "X-A\0x"sv})
        EXPECT_FALSE(parse_edit('h', data, action::add_headers)) << data;
}

TEST(MilterAgreement, NothingThatWasNotOffered)
{
    const Offer ours = *offer_of(2);
    EXPECT_TRUE(parse_agreement(encode({2, 0x1, 0x1}), ours));
    EXPECT_FALSE(parse_agreement(encode({6, 0x1, 0x1}), ours));
    EXPECT_FALSE(parse_agreement(encode({2, 0x100, 0}), ours));
    EXPECT_FALSE(parse_agreement(encode({2, 0, 0x100000}), ours));
    EXPECT_FALSE(parse_agreement("short", ours));
}

} // namespace bulkhead::milter
