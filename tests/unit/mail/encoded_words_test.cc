#include "mail/encoded_words.h"

#include "base/text.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

TEST(EncodedWords, LeaveLettersReadable)
{
    EXPECT_EQ(encoded_words("J\xc3\xb6rg Q. \"X\" (y)", "utf-8"),
              "=?utf-8?Q?J=C3=B6rg_Q=2E_=22X=22_=28y=29?=");
    EXPECT_EQ(encoded_words("J\xf6rg", "iso-8859-1"), "=?iso-8859-1?Q?J=F6rg?=");
    EXPECT_EQ(encoded_words("", "utf-8"), "");
}

TEST(EncodedWords, AreShortAndKeepCharactersWhole)
{
    std::string text;
    for (int i = 0; i < 40; ++i)
        text += "\xe2\x82\xac"; // three bytes
    const std::string words = encoded_words(text, "utf-8");
    std::string back;
    for (const std::string_view word : split(words, " ")) {
        EXPECT_LE(word.size(), 75U);
        EXPECT_TRUE(word.starts_with("=?utf-8?Q?=E2=82=AC")) << word;
        EXPECT_TRUE(word.ends_with("=E2=82=AC?=")) << word;
        back += word.substr(10, word.size() - 12);
    }
    EXPECT_EQ(back.size(), 40U * 9);
}

} // namespace
