#include "active_message.h"
#include "scheduler.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <malloc.h>

namespace bulkhead
{
namespace
{

std::size_t allocated()
{
    return mallinfo2().uordblks;
}

// Those that wait for a destination that does not answer are what qmgr's memory is for: 776 bytes
// each.  Who needs more has to say so here.
TEST(ActiveMessages, TakeLessThan900BytesEach)
{
    constexpr std::size_t count = 5000;
    Envelope envelope;
    envelope.sender = "from@src.test";
    envelope.encoding = "8bit";
    envelope.rewrite_context = "remote";
    const RoutedRecipient recipient{
        {400, "to@x0.dead.test", "to@x0.dead.test", "rfc822;to@x0.dead.test", 0}, "smtp", "x0.dead.test"};
    Scheduler scheduler([](const std::string&) { return TransportLimits(); });
    ActiveMessages active;

    const std::size_t before = allocated();
    for (std::size_t i = 0; i < count; ++i) {
        auto message = std::make_unique<ActiveMessage>();
        message->id = *QueueId::parse(fmt::format("4F2C1{:05X}", i));
        message->envelope = ActiveEnvelope(envelope);
        scheduler.add(*message, {recipient}, 0, 1'000'000);
        active.insert(std::move(message));
    }
    if (allocated() == before)
        GTEST_SKIP() << "a sanitizer's allocator does not count for us";
    EXPECT_LT((allocated() - before) / count, 900u);
}

TEST(ActiveMessages, AreFoundByTheirId)
{
    ActiveMessages active;
    for (const char* const id : {"4F2C1A0B12", "4F2C1A0B13"}) {
        auto message = std::make_unique<ActiveMessage>();
        message->id = *QueueId::parse(id);
        active.insert(std::move(message));
    }
    EXPECT_TRUE(active.contains("4F2C1A0B12"));
    EXPECT_FALSE(active.contains("4F2C1A0B14"));
    active.erase(active.find("4F2C1A0B12"));
    EXPECT_FALSE(active.contains("4F2C1A0B12"));
    EXPECT_EQ((*active.find("4F2C1A0B13"))->id.text(), "4F2C1A0B13");
}

TEST(ActiveEnvelope, KeepsWhatIsRareApart)
{
    Envelope envelope;
    envelope.sender = "from@src.test";
    envelope.encoding = "7bit";
    envelope.rewrite_context = "local";
    const ActiveEnvelope plain(envelope);
    EXPECT_EQ(plain.sender, "from@src.test");
    EXPECT_STREQ(plain.encoding, "7bit");
    EXPECT_STREQ(plain.rewrite_context, "local");
    EXPECT_FALSE(plain.if_rare);
    EXPECT_EQ(plain.rare().redirect, "");

    envelope.verp = "+=";
    envelope.trace_flags_offset = 300;
    const ActiveEnvelope unusual(envelope);
    EXPECT_EQ(unusual.rare().verp, "+=");
    EXPECT_EQ(unusual.rare().trace_flags_offset, 300);
}

} // namespace
} // namespace bulkhead
