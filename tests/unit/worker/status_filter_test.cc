// What a rule of a delivery status filter may make of a status.
#include "worker/delivery_agent.h"

#include <ostream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

using namespace bulkhead;
using ipc::DeliveryOutcome;

namespace
{

struct Row {
    const char* name;
    DeliveryOutcome before;
    std::string_view rule;
    DeliveryOutcome after;
    std::string_view dsn; // empty: the rule is refused
};
void PrintTo(const Row& row, std::ostream* out)
{
    *out << row.name;
}

class StatusFilter : public testing::TestWithParam<Row>
{
};

TEST_P(StatusFilter, Replaces)
{
    const Row& row = GetParam();
    DeliveryStatus status(row.before, "9.9.9", "old");
    EXPECT_EQ(replace_status(status, row.rule), !row.dsn.empty());
    EXPECT_EQ(status.outcome, row.after);
    EXPECT_EQ(status.dsn, row.dsn.empty() ? "9.9.9" : row.dsn);
    EXPECT_EQ(status.reason, row.dsn.empty() ? "old" : "new text");
}

constexpr auto sent = DeliveryOutcome::sent;
constexpr auto bounced = DeliveryOutcome::bounced;
constexpr auto deferred = DeliveryOutcome::deferred;

INSTANTIATE_TEST_SUITE_P(Rules, StatusFilter,
                         testing::Values(Row{"BounceToDefer", bounced, "4.7.1 new text", deferred, "4.7.1"},
                                         Row{"DeferToBounce", deferred, "5.2.2\tnew text ", bounced, "5.2.2"},
                                         Row{"TextOnly", sent, "2.1.10 new text", sent, "2.1.10"},
                                         Row{"FailureToSuccess", bounced, "2.0.0 new text", bounced, ""},
                                         Row{"SuccessToFailure", sent, "4.0.0 new text", sent, ""},
                                         Row{"NoText", bounced, "4.7.1", bounced, ""},
                                         Row{"NoCode", bounced, "new text", bounced, ""},
                                         Row{"CutCode", bounced, "4.7 new text", bounced, ""},
                                         Row{"EmptyPart", bounced, "4..1 new text", bounced, ""},
                                         Row{"OtherClass", bounced, "3.0.0 new text", bounced, ""},
                                         Row{"Nothing", bounced, "", bounced, ""}),
                         [](const auto& row) { return std::string(row.param.name); });

} // namespace
