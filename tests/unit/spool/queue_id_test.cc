#include "spool/queue_id.h"

#include <gtest/gtest.h>

namespace bulkhead
{

TEST(QueueId, ShortFormIsMicrosecondsAndInodeInHex)
{
    EXPECT_EQ(QueueId::make_short({0, 0x25346}, 0xA76AFF).text(), "25346A76AFF");
    EXPECT_EQ(QueueId::make_short({0, 7}, 0xF).text(), "00007F");
}

TEST(QueueId, LongFormIsTheOneThatPostfixMade)
{
    const QueueId id = QueueId::make_long({1795331102, 229856}, 10969192);
    EXPECT_EQ(id.text(), "4jXKp61d0Jz1bgHB");
    EXPECT_TRUE(id.is_long());
    EXPECT_EQ(id.inode(), 10969192u);
    EXPECT_EQ(id.time(), (WallTime{1795331102, 229856}));
}

TEST(QueueId, ShortIdTellsItsInodeAndNoTime)
{
    const auto id = QueueId::parse("25346A76AFF");
    ASSERT_TRUE(id);
    EXPECT_FALSE(id->is_long());
    EXPECT_EQ(id->inode(), 0xA76AFFu);
    EXPECT_FALSE(id->time());
}

TEST(QueueId, HashKeyOfALongIdIsItsMicroseconds)
{
    EXPECT_EQ(QueueId::parse("4jXKp61d0Jz1bgHB")->hash_characters(2), "38"); // 0x381E0
    EXPECT_EQ(QueueId::parse("25346A76AFF")->hash_characters(3), "253");
    EXPECT_EQ(QueueId::parse("AB")->hash_characters(3), "AB_");
}

TEST(QueueId, RefusesWhatIsNoFileNameOfOurs)
{
    for (const auto* text : {"", ".", "..", "a/b", "12345.678", "25346A76AFF#FIX", "a b", "\xc3\xa9"})
        EXPECT_FALSE(QueueId::parse(text)) << text;
    EXPECT_TRUE(QueueId::parse(std::string(255, 'A')));
    EXPECT_FALSE(QueueId::parse(std::string(256, 'A')));
}

TEST(QueueId, OddDigitsGiveNoInode)
{
    EXPECT_FALSE(QueueId::parse("25346xyz")->inode());
    EXPECT_FALSE(QueueId::parse("1234")->inode());
    EXPECT_FALSE(QueueId::parse("aeiouaeiouz1")->time());
    EXPECT_FALSE(QueueId::parse("25346FFFFFFFFFFFFFFFFF")->inode());
}

} // namespace bulkhead
