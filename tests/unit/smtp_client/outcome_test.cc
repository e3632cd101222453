#include "client_tls.h"
#include "outcome.h"

#include <gtest/gtest.h>

using namespace bulkhead;
using ipc::DeliveryOutcome;

namespace
{

const Peer peer("mx.test", *SocketAddress::parse("192.0.2.1", 25));

PeerReply reply_of(const std::string& line)
{
    ReplyParser parser;
    EXPECT_TRUE(parser.add_line(line));
    return parser.take();
}

struct ReplyRow {
    const char* reply;
    DeliveryOutcome outcome;
    const char* dsn;
};
class ReplyMeans : public testing::TestWithParam<ReplyRow>
{
};
TEST_P(ReplyMeans, ForARecipient)
{
    const DeliveryStatus status = refused_command(peer, reply_of(GetParam().reply), "RCPT TO");
    EXPECT_EQ(status.outcome, GetParam().outcome);
    EXPECT_EQ(status.dsn, GetParam().dsn);
    EXPECT_EQ(status.reason, "host mx.test[192.0.2.1] said: " + std::string(GetParam().reply) +
                                 " (in reply to RCPT TO command)");
    EXPECT_EQ(status.relay, "mx.test[192.0.2.1]:25");
}
INSTANTIATE_TEST_SUITE_P(Replies, ReplyMeans,
                         testing::Values(ReplyRow{"550 5.1.1 <a@b>: no such user", DeliveryOutcome::bounced,
                                                  "5.1.1"},
                                         ReplyRow{"550 no such user", DeliveryOutcome::bounced, "5.0.0"},
                                         ReplyRow{"550 4.1.1 odd", DeliveryOutcome::bounced, "5.0.0"},
                                         ReplyRow{"450 4.2.0 later", DeliveryOutcome::deferred, "4.2.0"},
                                         ReplyRow{"450 later", DeliveryOutcome::deferred, "4.0.0"},
                                         ReplyRow{"450 5.1.1 odd", DeliveryOutcome::deferred, "4.0.0"},
                                         ReplyRow{"354 what", DeliveryOutcome::deferred, "4.0.0"}));

TEST(Outcome, AcceptedHasTheServersWords)
{
    const DeliveryStatus status = accepted(peer, reply_of("250 2.0.0 Ok: queued as XYZ123"));
    EXPECT_EQ(status.outcome, DeliveryOutcome::sent);
    EXPECT_EQ(status.dsn, "2.0.0");
    EXPECT_EQ(status.reason, "250 2.0.0 Ok: queued as XYZ123");
    EXPECT_EQ(accepted(peer, reply_of("250 fine")).dsn, "2.0.0");
}

struct FaultRow {
    Fault fault;
    const char* dsn;
    const char* reason;
};
class FaultMeans : public testing::TestWithParam<FaultRow>
{
};
TEST_P(FaultMeans, Deferred)
{
    const DeliveryStatus status = broken_conversation(peer, Error(GetParam().fault, "x"), "sending RCPT TO");
    EXPECT_EQ(status.outcome, DeliveryOutcome::deferred);
    EXPECT_EQ(status.dsn, GetParam().dsn);
    EXPECT_EQ(status.reason, GetParam().reason);
}
INSTANTIATE_TEST_SUITE_P(
    Faults, FaultMeans,
    testing::Values(FaultRow{Fault::closed, "4.4.2",
                             "lost connection with mx.test[192.0.2.1] while sending RCPT TO"},
                    FaultRow{Fault::timeout, "4.4.2",
                             "conversation with mx.test[192.0.2.1] timed out while sending RCPT TO"},
                    FaultRow{Fault::malformed, "4.5.0",
                             "host mx.test[192.0.2.1] broke the protocol while sending RCPT TO: x"}));

TEST(Outcome, NamesTheAddressThatCouldNotBeReached)
{
    const DeliveryStatus status = connect_failed(peer, Error(Fault::io, "Connection refused"));
    EXPECT_EQ(status.reason, "connect to mx.test[192.0.2.1]:25: Connection refused");
    EXPECT_EQ(status.relay, "none");
    EXPECT_EQ(status.dsn, "4.4.1");
}

TEST(TlsPolicyKeys, AskForTheNextHopThenItsHostThenItsParents)
{
    EXPECT_EQ(policy_keys("[mx.a.test]:587"),
              (std::vector<std::string_view>{"[mx.a.test]:587", "mx.a.test", ".a.test", ".test"}));
    EXPECT_EQ(policy_keys("a.test"), (std::vector<std::string_view>{"a.test", ".test"}));
}

} // namespace
