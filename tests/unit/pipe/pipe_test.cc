// A pipe service's line in master.cf, and the command that comes of it.
#include "attributes.h"
#include "command_words.h"
#include "params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<PipeAttributes> parsed(std::vector<std::string> arguments)
{
    return PipeAttributes::parse(arguments);
}

std::vector<std::string> words(std::vector<std::string> arguments, PipeMessage message)
{
    const auto attributes = parsed(std::move(arguments));
    if (!attributes)
        return {attributes.error().context};
    auto result = command_words(*attributes, message, "+");
    return result ? *result : std::vector<std::string>{result.error().context};
}

PipeMessage message()
{
    PipeMessage one;
    one.queue_id = "4F00";
    one.sender = "a b@s.test";
    one.nexthop = "Next.Test";
    one.size = 321;
    one.attributes = {{"log_client_address", "192.0.2.1"}, {"sasl_username", "joe"}};
    one.recipients = {{"Joe+x@D.Test", "Orig@D.Test"}, {"ann@D.Test", ""}};
    return one;
}

TEST(PipeParams, AreTheKnownOnes)
{
    EXPECT_THAT(PipeParams().disagreements(), IsEmpty());
}

TEST(PipeAttributes, AreRead)
{
    const auto it =
        parsed({"flags=DRhu.", "user=u:g", "size=10", "eol=\\r\\n", "null_sender=", "directory=/x",
                "chroot=/y", "argv=/bin/cat", "-n", "user=not-mine"});
    ASSERT_TRUE(it) << it.error().context;
    EXPECT_EQ(it->user, "u:g");
    EXPECT_TRUE(it->flags.delivered_to && it->flags.return_path && it->flags.fold_domain &&
                it->flags.fold_user && it->flags.quote_dots);
    EXPECT_FALSE(it->flags.from_line || it->flags.quote_from || it->flags.final_delivery);
    EXPECT_EQ(it->size_limit, 10);
    EXPECT_EQ(it->eol, "\r\n");
    EXPECT_EQ(it->null_sender, "");
    EXPECT_EQ(it->directory, "/x");
    EXPECT_EQ(it->root, "/y");
    EXPECT_THAT(it->words, ElementsAre("/bin/cat", "-n", "user=not-mine"));
}

TEST(PipeAttributes, ACommandInBracesIsOneWord)
{
    EXPECT_THAT(words({"user=u", "argv={/bin/a b}", "c d"}, message()), ElementsAre("/bin/a b", "c d"));
}

struct Bad {
    const char* name;
    std::vector<std::string> arguments;
    const char* reason;
};

class PipeAttributesRefuse : public testing::TestWithParam<Bad>
{
};

TEST_P(PipeAttributesRefuse, BadLines)
{
    const auto it = parsed(GetParam().arguments);
    ASSERT_FALSE(it);
    EXPECT_THAT(it.error().context, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, PipeAttributesRefuse,
    testing::Values(Bad{"NoUser", {"argv=/bin/cat"}, "missing user="},
                    Bad{"NoCommand", {"user=u"}, "missing argv="},
                    Bad{"EmptyCommand", {"user=u", "argv="}, "missing argv="},
                    Bad{"Flag", {"user=u", "flags=Z", "argv=x"}, "unknown flag: Z"},
                    Bad{"Name", {"user=u", "x=y", "argv=x"}, "unknown attribute name: x"},
                    Bad{"Word", {"user=u", "DRhu", "argv=x"}, "name=value expected"},
                    Bad{"Size", {"user=u", "size=1k", "argv=x"}, "bad size="},
                    Bad{"Escape", {"user=u", "eol=\\q", "argv=x"}, "unknown escape"},
                    Bad{"Macro", {"user=u", "argv=x", "${sendr}"}, "unknown macro name: sendr"},
                    Bad{"Syntax", {"user=u", "argv=x", "$@"}, "parameter name expected"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(PipeCommand, OneWordForEachRecipient)
{
    EXPECT_THAT(
        words({"user=u", "argv=x", "-f", "$sender", "--", "${recipient}", "to:$user+$extension"}, message()),
        ElementsAre("x", "-f", "a b@s.test", "--", "Joe+x@D.Test", "ann@D.Test", "to:Joe+x", "to:ann+"));
}

TEST(PipeCommand, FlagsFoldAndQuote)
{
    EXPECT_THAT(
        words({"user=u", "flags=hqu", "argv=x", "$sender", "$nexthop", "$recipient", "$original_recipient"},
              message()),
        ElementsAre("x", "\"a b\"@s.test", "next.test", "joe+x@d.test", "ann@d.test", "Orig@D.Test",
                    "ann@D.Test"));
}

TEST(PipeCommand, KnowsTheMessage)
{
    EXPECT_THAT(words({"user=u", "argv=x", "$queue_id/$size", "$client_address", "[$client_helo]",
                       "$sasl_username", "${extension?{ext}:{none}}"},
                      message()),
                ElementsAre("x", "4F00/321", "192.0.2.1", "[]", "joe", "ext", "none"));
}

TEST(PipeCommand, WhatStrangersWriteIsNotExpandedAgain)
{
    PipeMessage one = message();
    one.sender = "$recipient ${x}@s.test";
    EXPECT_THAT(words({"user=u", "argv=x", "$sender"}, one), ElementsAre("x", "$recipient ${x}@s.test"));
}

TEST(PipeCommand, NullSender)
{
    PipeMessage one = message();
    one.sender.clear();
    EXPECT_THAT(words({"user=u", "argv=x", "$sender"}, one), ElementsAre("x", "MAILER-DAEMON"));
    EXPECT_THAT(words({"user=u", "null_sender=", "argv=x", "<$sender>"}, one), ElementsAre("x", "<>"));
}

} // namespace
} // namespace bulkhead
