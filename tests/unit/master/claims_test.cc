#include "claims.h"

#include <gtest/gtest.h>

namespace bulkhead
{

namespace
{

EnvironmentPlan plan_of(std::string name, uid_t owner)
{
    EnvironmentPlan plan;
    plan.config_directory = "/nonexistent/" + name;
    plan.spool.root = "/nonexistent/spool/" + name;
    plan.data_directory = "/nonexistent/data/" + name;
    plan.owner = owner;
    plan.name = std::move(name);
    return plan;
}

void listen_on(EnvironmentPlan& plan, const std::string& key)
{
    ServicePlan& service = plan.services.emplace_back();
    service.endpoints.emplace_back().key = key;
}

} // namespace

TEST(Claims, EachThingHasOneOwner)
{
    Claims claims;
    EnvironmentPlan first = plan_of("first", 1001);
    listen_on(first, "inet 127.0.0.1:25");
    auto wish = claims.check(first);
    ASSERT_TRUE(wish);
    claims.grant(std::move(*wish));
    EXPECT_TRUE(claims.check(first)) << "its own";

    std::vector<EnvironmentPlan> rivals;
    for (int i = 0; i < 5; ++i)
        rivals.push_back(plan_of("second", 1002));
    rivals[0].name = "first";
    rivals[1].spool.root = first.spool.root;
    rivals[2].data_directory = first.data_directory;
    rivals[3].owner = first.owner;
    listen_on(rivals[4], "inet 127.0.0.1:25");
    for (const EnvironmentPlan& rival : rivals) {
        const auto refused = claims.check(rival);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().context.find("environment first (/nonexistent/first)"), std::string::npos);
        EXPECT_NE(refused.error().context.find("environment " + rival.name + " cannot"), std::string::npos);
    }
    EXPECT_TRUE(claims.check(plan_of("second", 1002)));
}

TEST(Claims, WhatIsReleasedIsFree)
{
    Claims claims;
    EnvironmentPlan first = plan_of("first", 1001);
    listen_on(first, "inet 127.0.0.1:25");
    claims.grant(*claims.check(first));
    EnvironmentPlan second = plan_of("second", 1002);
    listen_on(second, "inet 127.0.0.1:25");
    claims.release_listeners(first.config_directory);
    EXPECT_TRUE(claims.check(second));
    second.owner = 1001;
    EXPECT_FALSE(claims.check(second));
    claims.release(first.config_directory);
    EXPECT_TRUE(claims.check(second));
}

TEST(Claims, RootlessEnvironmentsShareTheirUser)
{
    Claims claims;
    EnvironmentPlan first = plan_of("first", 1001);
    EnvironmentPlan second = plan_of("second", 1001);
    first.rootless = second.rootless = true;
    claims.grant(*claims.check(first));
    EXPECT_TRUE(claims.check(second));
}

} // namespace bulkhead
