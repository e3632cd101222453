#include "config/value_check.h"

#include "config/config.h"

#include <gmock/gmock.h>

namespace bulkhead
{

using testing::HasSubstr;

static std::string complaint(std::string_view line)
{
    const auto config = Config::from(*MainCf::parse(line, "main.cf"), "/x");
    const auto checked = check_values(*config);
    return checked ? "" : checked.error().context;
}

TEST(CheckValues, GoodOnesPass)
{
    for (const std::string_view line :
         {"soft_bounce = yes\n", "default_process_limit = 5\n", "smtpd_timeout = 5m\n",
          "maximal_queue_lifetime = 0\n", "own_name = anything\n"})
        EXPECT_EQ(complaint(line), "") << line;
}

TEST(CheckValues, BadOnesAreNamedWithTheirPlace)
{
    for (const std::string_view line :
         {"soft_bounce = perhaps\n", "default_process_limit = many\n", "default_process_limit = 0\n",
          "smtpd_timeout = soon\n", "smtpd_timeout = 0\n"}) {
        EXPECT_THAT(complaint(line), HasSubstr("main.cf, line 1: ")) << line;
        EXPECT_THAT(complaint(line), HasSubstr(std::string(line.substr(0, line.find(' '))))) << line;
    }
}

} // namespace bulkhead
