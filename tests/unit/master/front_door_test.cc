// Where environments take sessions from the front door.
#include "front_door.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

EnvironmentPlan plan_of(const char* folder, const char* name, const char* spool, uid_t owner)
{
    EnvironmentPlan plan;
    plan.config_directory = folder;
    plan.name = name;
    plan.spool.root = spool;
    plan.owner = owner;
    for (const char* service : {"frontdoor", "smtpd"}) {
        ServicePlan one;
        one.name = service;
        one.type = ServiceType::pass;
        Endpoint endpoint;
        endpoint.path = std::string(spool) + "/private/" + service;
        endpoint.is_inner = true;
        one.endpoints.push_back(endpoint);
        plan.services.push_back(one);
    }
    return plan;
}

} // namespace

TEST(FrontDoor, SocketsLieInThePrimarysSpoolAndBelongToItsUser)
{
    const EnvironmentPlan primary = plan_of("/etc/a", "mail", "/spool/a", 7);
    EnvironmentPlan other = plan_of("/etc/b", "b", "/spool/b", 8);
    place_behind_front_door(other, primary);
    const Endpoint& moved = other.services[0].endpoints[0];
    EXPECT_EQ(moved.path, "/spool/a/frontdoor/b");
    EXPECT_EQ(moved.key, "unix /spool/a/frontdoor/b");
    EXPECT_FALSE(moved.is_inner); // listens while the environment sleeps
    ASSERT_TRUE(moved.folder_owner);
    EXPECT_EQ(moved.folder_owner->user, 7u);
    EXPECT_EQ(other.services[1].endpoints[0].path, "/spool/b/private/smtpd");
}

TEST(FrontDoor, ThePrimaryIsADash)
{
    EnvironmentPlan primary = plan_of("/etc/a", "mail", "/spool/a", 7);
    place_behind_front_door(primary, primary);
    EXPECT_EQ(primary.services[0].endpoints[0].path, "/spool/a/frontdoor/-");
}
