#include "config/params.h"

#include "config/config.h"
#include "config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;

struct SampleParams : ParamSet {
    Param<Seconds> timeout{this, "smtpd_timeout", "${stress?{10}:{300}}s", at_least(1), "how long to wait"};
    Param<Seconds> lifetime{this, "maximal_queue_lifetime", "5d", between(0, 8640000).in('d'),
                            "when to give up"};
    Param<int> recipients{this, "smtpd_recipient_limit", "1000", at_least(1), "recipients per message"};
    Param<std::int64_t> size{this, "message_size_limit", "10240000", at_least(0), "largest message"};
    Param<bool> helo{this, "smtpd_helo_required", "no", "HELO first"};
    Param<std::string> banner{this, "smtpd_banner", "$myhostname ESMTP $mail_name", "greeting"};
    Param<RawText> forward{this, "forward_path",
                           "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
                           "where forwards are"};
    Param<std::vector<std::string>> domains{this, "mydestination",
                                            "$myhostname, localhost.$mydomain, localhost", "our domains"};
};

Result<> load(SampleParams& params, std::string_view text)
{
    auto main = MainCf::parse(text, "main.cf");
    if (!main)
        return main.error();
    auto config = Config::from(*std::move(main), "/etc/x");
    return config ? params.load(*config) : Result<>(config.error());
}

TEST(Params, DefaultsAreTyped)
{
    SampleParams params;
    ASSERT_TRUE(load(params, "myhostname = h.example\n"));
    EXPECT_EQ(params.timeout(), Seconds(300));
    EXPECT_EQ(params.lifetime(), Seconds(5 * 86400));
    EXPECT_EQ(params.recipients(), 1000);
    EXPECT_EQ(params.size(), 10240000);
    EXPECT_FALSE(params.helo());
    EXPECT_EQ(params.banner(), "h.example ESMTP Bulkhead");
    EXPECT_EQ(params.forward().text, "$home/.forward${recipient_delimiter}${extension}, $home/.forward");
    EXPECT_THAT(params.domains(), ElementsAre("h.example", "localhost.example", "localhost"));
}

TEST(Params, DeclarationsAgreeWithTheTable)
{
    EXPECT_THAT(SampleParams().disagreements(), ElementsAre());
}

TEST(Params, DisagreementsAreNamed)
{
    ParamSet params;
    Param<int> wrong(&params, "smtpd_recipient_limit", "7", "x");
    Param<int> unknown(&params, "smtpd_recipiant_limit", "7", "x");
    EXPECT_EQ(params.disagreements().size(), 2u);
}

struct Case {
    const char* name;
    std::string text;
    std::string error;
};

class ParamsRefuse : public testing::TestWithParam<Case>
{
};

TEST_P(ParamsRefuse, Value)
{
    SampleParams params;
    const auto result = load(params, GetParam().text);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().context, GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Params, ParamsRefuse,
    testing::Values(
        Case{"Time", "#\nsmtpd_timeout = 5x\n", "main.cf, line 2: smtpd_timeout: bad time value \"5x\""},
        Case{"TimeTooShort", "smtpd_timeout = 0", "main.cf, line 1: smtpd_timeout: value 0 is less than 1"},
        Case{"TimeTooLong", "maximal_queue_lifetime = 101d",
             "main.cf, line 1: maximal_queue_lifetime: value 8726400 is more than 8640000"},
        Case{"Int", "smtpd_recipient_limit = ten",
             "main.cf, line 1: smtpd_recipient_limit: bad numerical value \"ten\""},
        Case{"IntTooLarge", "smtpd_recipient_limit = 3000000000",
             "main.cf, line 1: smtpd_recipient_limit: value 3000000000 is more than 2147483647"},
        Case{"Bool", "smtpd_helo_required = 1",
             "main.cf, line 1: smtpd_helo_required: bad boolean value \"1\", want yes or no"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Values, Times)
{
    EXPECT_EQ(*parse_seconds("5", 'm'), 300);
    EXPECT_EQ(*parse_seconds("2h", 's'), 7200);
    EXPECT_EQ(*parse_seconds("1w", 's'), 604800);
    for (const char* bad : {"", "x", "-1", "5 s", "99999999999999999999", "9223372036854775807w", "5sd"})
        EXPECT_FALSE(parse_seconds(bad, 's')) << bad;
}

TEST(Values, ListsKeepBraces)
{
    EXPECT_THAT(parse_list("a, b\tc,,d {e, f g} h{i j}"),
                ElementsAre("a", "b", "c", "d", "{e, f g}", "h{i j}"));
    EXPECT_EQ(without_braces("{ e, f }"), "e, f");
}

} // namespace
} // namespace bulkhead
