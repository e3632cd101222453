#include "routing/open.h"

#include "config/config.h"
#include "config/main_cf.h"

#include <gtest/gtest.h>

#include <string>

using namespace bulkhead;

namespace
{

std::unique_ptr<RoutingRules> rules_of(const std::string& settings)
{
    auto main = MainCf::parse("compatibility_level = 3.6\nmyhostname = mx.my.test\nmydestination = my.test\n"
                              "inet_interfaces = 127.0.0.1\n" +
                                  settings,
                              "main.cf");
    EXPECT_TRUE(main);
    const auto config = Config::from(*std::move(main), "/nowhere");
    EXPECT_TRUE(config) << config.error().context;
    return RoutingRules::open(*config);
}

TEST(RoutingRules, AnswerAsTrivialRewriteWould)
{
    const auto rules = rules_of("relayhost = [relay.test]:587\nrelay_domains = inside.test\n");
    ASSERT_NE(rules, nullptr);
    const auto out = rules->resolve("s@x.test", "r@far.test");
    ASSERT_TRUE(out);
    EXPECT_EQ(out->transport, "smtp");
    EXPECT_EQ(out->nexthop, "[relay.test]:587");
    EXPECT_EQ(out->address_class, ipc::AddressClass::other);
    EXPECT_EQ(rules->resolve("s@x.test", "r@inside.test")->transport, "relay");
    EXPECT_EQ(rules->resolve("s@x.test", "r@my.test")->transport, "local");
    EXPECT_EQ(rules->resolve("s@x.test", "r@[127.0.0.1]")->transport, "local");
    EXPECT_EQ(rules->rewrite(ipc::RewriteContext::local, "user").value_or(""), "user@mx.my.test");
}

TEST(RoutingRules, ATableOrAFileMakesThemMore)
{
    EXPECT_NE(rules_of(""), nullptr);
    for (const char* setting :
         {"transport_maps = inline:{x=smtp:[y]}", "relocated_maps = static:there",
          "sender_dependent_relayhost_maps = inline:{x=[y]}",
          "sender_dependent_default_transport_maps = inline:{x=smtp:[y]}",
          "sender_recipient_transport_maps = inline:{x=smtp:[y]}", "relay_domains = inline:{x=y}",
          "virtual_alias_maps = inline:{a@alias.test=b@x.test}", "virtual_mailbox_domains = /etc/domains",
          "virtual_mailbox_maps = static:yes", "mydestination = my.test, pcre:/etc/domains"})
        EXPECT_EQ(rules_of(std::string(setting) + "\n"), nullptr) << setting;
}

TEST(RoutingRules, WhatCannotBeOpenedIsLeftToTrivialRewrite)
{
    EXPECT_EQ(rules_of("inet_interfaces = no-such-name.invalid\n"), nullptr);
}

} // namespace
