#include "plan.h"

#include <gmock/gmock.h>

namespace bulkhead
{

using testing::ElementsAre;

static ServicePlan service(ServiceType type, int limit)
{
    ServicePlan plan;
    plan.program = "/usr/libexec/smtpd";
    plan.type = type;
    plan.limit = limit;
    plan.options = {"-n", "smtp", "-t", "inet", "-s", "1"};
    plan.arguments = {"-o", "stress=mine", "user=vmail"};
    return plan;
}

TEST(ServicePlan, StressComesBeforeTheOverridesThatMayReplaceIt)
{
    EXPECT_THAT(service(ServiceType::inet, 0).command_line(true),
                ElementsAre("smtpd", "-n", "smtp", "-t", "inet", "-s", "1", "-o", "stress=yes", "-o",
                            "stress=mine", "user=vmail"));
}

TEST(ServicePlan, InnerServicesKnowNoStress)
{
    EXPECT_THAT(
        service(ServiceType::unix_stream, 5).command_line(true),
        ElementsAre("smtpd", "-n", "smtp", "-t", "inet", "-s", "1", "-o", "stress=mine", "user=vmail"));
}

TEST(ServicePlan, OnlyInnerServicesOfOneProcessAreSingletons)
{
    EXPECT_TRUE(service(ServiceType::unix_stream, 1).is_singleton());
    EXPECT_FALSE(service(ServiceType::unix_stream, 0).is_singleton());
    EXPECT_FALSE(service(ServiceType::inet, 1).is_singleton());
}

} // namespace bulkhead
