// A session's state on its way between two processes: what comes out is what went in, and what a
// hostile giver makes of it is refused whole.
#include "ipc/hand_over.h"

#include <gtest/gtest.h>

using namespace bulkhead;
using namespace bulkhead::ipc;

namespace
{

SessionState sample()
{
    SessionState state;
    state.stage = SessionState::Stage::reply;
    state.client_address = "2001:db8::7";
    state.server_address = "192.0.2.1";
    state.client_port = 4242;
    state.server_port = 2525;
    state.v6 = true;
    state.answered = {"EHLO client.example", "MAIL FROM:<a@b.example>"};
    state.unread = "RCPT TO:<c@d.example>\r\nDATA\r\n";
    state.recipient = "c@d.example";
    state.tls.emplace();
    state.tls->protocol = "TLSv1.3";
    state.tls->used_bits = 256;
    state.tls->has_certificate = true;
    state.tls->common_name = "client.example";
    return state;
}

struct Bad {
    const char* name;
    void (*spoil)(SessionState&);
};

class HandOverRefuses : public testing::TestWithParam<Bad>
{
};

} // namespace

TEST(HandOver, ComesOutAsItWentIn)
{
    const auto state = decode_session(encode(sample()));
    ASSERT_TRUE(state) << state.error().context;
    EXPECT_EQ(state->stage, SessionState::Stage::reply);
    EXPECT_EQ(state->client_address, "2001:db8::7");
    EXPECT_EQ(state->client_port, 4242);
    EXPECT_EQ(state->server_port, 2525);
    EXPECT_TRUE(state->v6);
    EXPECT_EQ(state->answered, sample().answered);
    EXPECT_EQ(state->unread, sample().unread);
    EXPECT_EQ(state->recipient, "c@d.example");
    ASSERT_TRUE(state->tls);
    EXPECT_EQ(state->tls->protocol, "TLSv1.3");
    EXPECT_EQ(state->tls->used_bits, 256);
    EXPECT_TRUE(state->tls->has_certificate);
    EXPECT_FALSE(state->tls->trusted);
    EXPECT_EQ(state->tls->common_name, "client.example");
}

TEST(HandOver, SessionInClearHasNoFacts)
{
    SessionState plain = sample();
    plain.tls.reset();
    const auto state = decode_session(encode(plain));
    ASSERT_TRUE(state);
    EXPECT_FALSE(state->tls);
}

TEST(HandOver, WipeLeavesNothing)
{
    SessionState state = sample();
    state.wipe();
    EXPECT_TRUE(state.unread.empty());
}

TEST_P(HandOverRefuses, BadState)
{
    SessionState state = sample();
    GetParam().spoil(state);
    const auto decoded = decode_session(encode(state));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().fault, Fault::malformed);
}
INSTANTIATE_TEST_SUITE_P(
    States, HandOverRefuses,
    testing::Values(Bad{"AddressThatIsNone", [](SessionState& s) { s.client_address = "1.2.3.4\nx"; }},
                    Bad{"NameAsAddress", [](SessionState& s) { s.server_address = "mx.example"; }},
                    Bad{"NoCommand", [](SessionState& s) { s.unread = "RCPT"; }},
                    Bad{"TooMuchUnread", [](SessionState& s) { s.unread.assign(max_unread + 1, '\n'); }},
                    Bad{"TwoLinesInOne", [](SessionState& s) { s.answered[0] = "EHLO x\r\nMAIL FROM:<>"; }},
                    Bad{"TooManyCommands",
                        [](SessionState& s) { s.answered.resize(max_answered + 1, "NOOP"); }},
                    Bad{"LineEndInFact", [](SessionState& s) { s.tls->cipher = "A\r\nB"; }},
                    Bad{"LineEndInRecipient", [](SessionState& s) { s.recipient = "a\nb"; }}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(HandOver, AnotherStageIsRefused)
{
    Message message = encode(sample());
    std::string body = message.body();
    const auto at = body.find("stage") + 5 + 4;
    ASSERT_EQ(body[at], '2');
    body[at] = '3';
    EXPECT_FALSE(decode_session(Message(Kind::session, body)));
}

TEST(HandOver, QuestionsAndAnswers)
{
    Message question(Kind::recipient_owner);
    question.add("address", "a@b.example");
    const auto address = decode_owner_question(question);
    ASSERT_TRUE(address);
    EXPECT_EQ(*address, "a@b.example");
    EXPECT_FALSE(decode_owner_question(Message(Kind::session)));
    EXPECT_EQ(encode(RecipientOwner::here).find("here"), "1");
    EXPECT_EQ(encode(RecipientOwner::elsewhere).find("here"), "0");
    EXPECT_EQ(encode(RecipientOwner::unknown).kind(), Kind::failed);
}
