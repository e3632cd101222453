#include "config/variables.h"

#include "config/main_cf.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace bulkhead
{

namespace
{

std::string all_of(const std::vector<std::string>& variables, std::string_view name, bool primary)
{
    const auto settings = settings_from(variables, name, primary);
    if (!settings)
        return "error " + settings.error().context;
    std::string text;
    for (const VariableSetting& setting : *settings)
        text += setting.name + "=" + setting.value + ";";
    return text;
}

} // namespace

TEST(Variables, PlainOnesAreThePrimarys)
{
    EXPECT_EQ(all_of({"BULKHEAD_myhostname=mx.example"}, "", true), "myhostname=mx.example;");
    EXPECT_EQ(all_of({"POSTFIX_myhostname=mx.example"}, "", true), "myhostname=mx.example;");
    EXPECT_EQ(all_of({"BULKHEAD_myhostname=mx.example"}, "postfix-out", false), "");
}

TEST(Variables, OneEnvironmentIsNamed)
{
    EXPECT_EQ(all_of({"BULKHEAD_ENV_postfix-out__relayhost=r"}, "postfix-out", false), "relayhost=r;");
    EXPECT_EQ(all_of({"BULKHEAD_ENV_postfix_out__relayhost=r"}, "postfix-out", false), "relayhost=r;");
    EXPECT_EQ(all_of({"BULKHEAD_ENV_postfix_out__relayhost=r"}, "postfix-in", false), "");
    EXPECT_EQ(all_of({"BULKHEAD_ENV_=r", "BULKHEAD_ENV_x=r"}, "", true), "");
}

TEST(Variables, OurNameCountsMore)
{
    EXPECT_EQ(all_of({"BULKHEAD_relayhost=b", "POSTFIX_relayhost=a"}, "", true), "relayhost=a;relayhost=b;");
}

TEST(Variables, WhatIsNoParameterIsLeftAlone)
{
    EXPECT_EQ(all_of({"BULKHEAD_PREFIX=/x", "BULKHEAD_=x", "OTHER=x", "BULKHEAD_nothing"}, "", true), "");
}

TEST(Variables, TypingMistakesAreNamed)
{
    EXPECT_EQ(all_of({"BULKHEAD_myhostnam=x"}, "", true),
              "error $BULKHEAD_myhostnam: no parameter has the name myhostnam");
}

TEST(Variables, ValuesStayInTheirLine)
{
    EXPECT_EQ(all_of({"BULKHEAD_relayhost=a\nmynetworks = 0.0.0.0/0"}, "", true),
              "relayhost=a mynetworks = 0.0.0.0/0;");
}

TEST(Variables, FilesHoldSecrets)
{
    const std::string path = testing::TempDir() + "variables_test_secret";
    std::ofstream(path) << "hidden\n";
    EXPECT_EQ(all_of({"BULKHEAD_relayhost_FILE=" + path}, "", true), "relayhost=hidden;");
    std::remove(path.c_str());
    EXPECT_TRUE(all_of({"BULKHEAD_relayhost_FILE=" + path}, "", true)
                    .starts_with("error $BULKHEAD_relayhost_FILE: "));
}

} // namespace bulkhead
