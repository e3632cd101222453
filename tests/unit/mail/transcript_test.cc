#include "mail/transcript.h"

#include "mail/error_classes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

TEST(Transcript, ShowsWhoSaidWhat)
{
    Transcript transcript;
    transcript.said("220 mx");
    transcript.heard("EHLO x\x01y");
    EXPECT_EQ(transcript.text(), " Out: 220 mx\n In:  EHLO x?y\n");
    EXPECT_EQ(transcript.lines(), 2U);
}

TEST(Transcript, LeavesOutSecrets)
{
    Transcript transcript;
    transcript.heard("auth  plain AGpvZQBzZWNyZXQ=");
    transcript.heard("AUTH LOGIN");
    EXPECT_EQ(transcript.text(), " In:  auth  plain\n In:  AUTH LOGIN\n");
}

TEST(Transcript, HasAnEnd)
{
    Transcript transcript;
    for (int i = 0; i < 10'000; ++i)
        transcript.heard(std::string(5000, 'x'));
    EXPECT_LT(transcript.text().size(), 70'000U);
}

TEST(ErrorClasses, AreParsedInAnyCaseAndBounceImpliesItsDouble)
{
    const std::vector<std::string> names{"Bounce", "policy"};
    const ErrorClasses classes = *ErrorClasses::parse(names);
    EXPECT_TRUE(classes.has(ErrorClass::bounce) && classes.has(ErrorClass::double_bounce) &&
                classes.has(ErrorClass::policy));
    EXPECT_FALSE(classes.has(ErrorClass::delay) || classes.has(ErrorClass::software));
}

} // namespace
} // namespace bulkhead
