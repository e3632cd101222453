#include "mail/dsn.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using namespace std::string_literals;

TEST(Xtext, GoesThereAndBack)
{
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"abc+def", "abc+2Bdef"}, {"a=b", "a+3Db"}, {"a b", "a+20b"}, {"user@x.test", "user@x.test"}};
    for (const auto& [plain, coded] : rows) {
        EXPECT_EQ(encode_xtext(plain), coded);
        EXPECT_EQ(*decode_xtext(coded), plain);
    }
    EXPECT_EQ(*decode_xtext("a+2bb"), "a+b");
}

TEST(Xtext, RefusesControlCharactersAndBareBytes)
{
    for (const auto& text : {"a+00b"s, "a+0Ab"s, "a+0D"s, "a+7Fb"s, "a+"s, "a+2"s, "a+2G"s, "a=b"s, "a b"s,
                             "a\x01"s, "a\0b"s, "\xc3\xa9"s})
        EXPECT_FALSE(decode_xtext(text)) << text;
    EXPECT_TRUE(decode_xtext("\xc3\xa9", true));
    EXPECT_FALSE(decode_xtext("\xc3", true));
}

TEST(Notify, IsNeverOrAList)
{
    EXPECT_EQ(*parse_notify("NEVER"), notify::never);
    EXPECT_EQ(*parse_notify("success,Failure,DELAY"), 14u);
    for (const std::string text : {"", "NEVER,DELAY", "SUCCESS,", ",SUCCESS", "OFTEN", "SUCCESS DELAY"})
        EXPECT_FALSE(parse_notify(text)) << text;
    EXPECT_EQ(notify_text(10), "SUCCESS,DELAY");
    EXPECT_EQ(notify_text(1), "NEVER");
    EXPECT_EQ(notify_text(0), "");
}

TEST(Ret, IsFullOrHeaders)
{
    EXPECT_EQ(*parse_ret("full"), Ret::full);
    EXPECT_EQ(*parse_ret("HDRS"), Ret::headers);
    EXPECT_FALSE(parse_ret(""));
    EXPECT_EQ(ret_text(Ret::headers), "HDRS");
}

TEST(Envid, IsShortXtext)
{
    EXPECT_EQ(*parse_envid("abc+2Bdef"), "abc+def");
    for (const auto& text : {""s, "a+00"s, std::string(101, 'x'), "a+C3"s})
        EXPECT_FALSE(parse_envid(text)) << text;
}

TEST(Orcpt, IsTypeAndAddress)
{
    EXPECT_EQ(parse_orcpt("rfc822;a+2Bb@c")->text(), "rfc822;a+b@c");
    EXPECT_EQ(parse_orcpt("utf-8;\\x{E9}@c")->text(), "utf-8;\xc3\xa9@c");
    EXPECT_EQ(parse_orcpt("utf-8;\xc3\xa9@c", true)->text(), "utf-8;\xc3\xa9@c");
    for (const auto& text :
         {""s, "rfc822"s, ";a"s, "rfc822;"s, "r 2;a"s, "rfc822;a+00"s, "rfc822;a+0Ab"s, "utf-8;\\x{0}"s,
          "utf-8;\\x{A}b"s, "utf-8;\\x{110000}"s, "utf-8;\\x{D800}"s, "utf-8;\\x{}"s, "utf-8;\\x{41"s,
          "utf-8;\\y"s, "rfc822;" + std::string(500, 'a')})
        EXPECT_FALSE(parse_orcpt(text)) << text;
}

TEST(Orcpt, IsEncodedAsItCame)
{
    EXPECT_EQ(encode_orcpt("rfc822;a+b@c"), "rfc822;a+2Bb@c");
    EXPECT_EQ(encode_orcpt("utf-8;\xc3\xa9+\xf0\x9f\x98\x80@c"), "utf-8;\\x{E9}\\x{2B}\\x{1F600}@c");
    EXPECT_EQ(parse_orcpt(encode_orcpt("utf-8;\xc3\xa9+=@c"))->text(), "utf-8;\xc3\xa9+=@c");
}

TEST(EnhancedStatus, HasThreeNumbers)
{
    EXPECT_EQ(parse_status("5.1.1"), (EnhancedStatus{5, 1, 1}));
    EXPECT_EQ(parse_status("4.7.509")->text(), "4.7.509");
    for (const std::string text :
         {"", "5", "5.1", "5.1.", "5..1", "3.1.1", "5.1.1.1", "5.1.1000", "a.b.c", "5.1.1 "})
        EXPECT_FALSE(parse_status(text)) << text;
}

TEST(SplitStatus, TakesItFromTheFront)
{
    const auto with = split_status("5.1.1  no such user");
    EXPECT_EQ(with.status->text(), "5.1.1");
    EXPECT_EQ(with.rest, "no such user");
    EXPECT_FALSE(split_status("5.1.1x no").status);
    EXPECT_EQ(split_status("no such user").rest, "no such user");
    EXPECT_EQ(split_status("2.0.0").rest, "");
}

} // namespace
} // namespace bulkhead
