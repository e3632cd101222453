// A session against a server that follows a script over a socket pair.
#include "session.h"

#include "async/scope.h"
#include "config/config.h"
#include "spool/envelope.h"

#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

using namespace bulkhead;
using ipc::DeliveryOutcome;

namespace
{

// What the server does at one point: waits for a line with this beginning, then
// sends; "" waits for nothing.
struct Step {
    std::string expect;
    std::string send;
};
constexpr const char* hang_up = "<hang up>";
constexpr const char* be_silent = "<silent>";
constexpr const char* text_end = ".";

using Script = std::vector<Step>;

class FixedText final : public MessageText
{
public:
    explicit FixedText(std::vector<std::string> blocks) : blocks_(std::move(blocks)) {}
    Task<Result<bool>> read(std::string& out) override
    {
        if (next_ == blocks_.size())
            co_return Error(Fault::io, "disk on fire");
        out += blocks_[next_++];
        co_return next_ < blocks_.size();
    }

private:
    std::vector<std::string> blocks_;
    std::size_t next_ = 0;
};

class SessionTest : public testing::Test
{
protected:
    SessionTest()
    {
        auto config = Config::from(MainCf(), "/");
        EXPECT_TRUE(config);
        EXPECT_TRUE(params_.load(*config));
        params_.helo_name.set("client.test");
        request_.sender = "s@a.test";
        request_.content_length = 100;
        add_recipient("r1@b.test");
    }

    void add_recipient(const std::string& address)
    {
        ipc::DeliveryRecipient recipient;
        recipient.address = address;
        request_.recipients.push_back(recipient);
    }

    static Task<> serve(Stream* stream, Script script, std::vector<std::string>* heard)
    {
        for (const Step& step : script) {
            while (!step.expect.empty()) {
                const auto line = co_await stream->read_line(4096);
                if (!line)
                    co_return;
                heard->emplace_back(line->text);
                if (heard->back().starts_with(step.expect))
                    break;
            }
            if (step.send == hang_up) {
                stream->close();
                co_return;
            }
            if (step.send == be_silent) {
                (void)co_await stream->read_line(4096);
                co_return;
            }
            stream->write(step.send);
            (void)co_await stream->flush();
        }
        for (;;) { // until the client leaves
            const auto line = co_await stream->read_line(4096);
            if (!line)
                co_return;
            heard->emplace_back(line->text);
        }
    }

    static Task<> deliver(SessionTest* test)
    {
        test->refusal_ = co_await test->session_->open();
        for (int i = 0; i < test->transactions_ && !test->refusal_; ++i) {
            OutgoingEnvelope envelope(test->request_);
            for (std::size_t r = 0; r < test->request_.recipients.size(); ++r)
                envelope.recipients.push_back(r);
            FixedText text(test->text_);
            test->result_ = co_await test->session_->transact(envelope, text);
        }
        test->reusable_ = test->session_->is_reusable();
        test->may_take_another_ = test->session_->may_take_another();
        co_await test->session_->quit();
        test->session_.reset();
    }

    void run(const Script& script)
    {
        int fds[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        Stream server{UniqueFd(fds[1])};
        server.set_timeout(Milliseconds(5000));
        Peer peer("mx.test", *SocketAddress::parse("192.0.2.1", 25));
        session_ = std::make_unique<SmtpSession>(UniqueFd(fds[0]), std::move(peer), params_);
        Scope scope;
        scope.spawn(serve, &server, script, &heard_);
        scope.spawn(deliver, this);
        scope.spawn(wait_for_both, &scope);
        Loop::current().run();
    }

    static Task<> wait_for_both(Scope* scope)
    {
        do {
            co_await yield_turn(); // once at least: the loop must run to be stopped
        } while (scope->size() > 1);
        Loop::current().stop();
    }

    const DeliveryStatus& status(std::size_t i = 0) const { return result_.statuses.at(i); }
    bool has_heard(const std::string& line) const { return std::ranges::find(heard_, line) != heard_.end(); }

    SmtpParams params_;
    ipc::DeliveryRequest request_;
    std::vector<std::string> text_{"Subject: x\r\n\r\nbody\r\n.\r\n"};
    int transactions_ = 1;
    std::unique_ptr<SmtpSession> session_;
    std::optional<DeliveryStatus> refusal_;
    TransactionResult result_;
    bool reusable_ = false;
    bool may_take_another_ = false;
    std::vector<std::string> heard_;
};

const Step greeting{"", "220 mx.test ESMTP\r\n"};
const Step plain_ehlo{"EHLO client.test", "250 mx.test\r\n"};
const Step pipelining{"EHLO client.test",
                      "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 DSN\r\n"};

TEST_F(SessionTest, SpeaksStepByStepWithoutPipelining)
{
    run({greeting,
         plain_ehlo,
         {"MAIL FROM:<s@a.test>", "250 ok\r\n"},
         {"RCPT TO:<r1@b.test>", "250 ok\r\n"},
         {"DATA", "354 go\r\n"},
         {text_end, "250 2.0.0 queued\r\n"},
         {"QUIT", "221 bye\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
    EXPECT_EQ(status().reason, "250 2.0.0 queued");
    EXPECT_TRUE(reusable_);
    EXPECT_TRUE(has_heard("body"));
    EXPECT_TRUE(has_heard("QUIT"));
}

TEST_F(SessionTest, SendsTheEnvelopeInOneGoWithPipelining)
{
    run({greeting,
         pipelining,
         {"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"},
         {text_end, "250 2.0.0 queued\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
    EXPECT_TRUE(has_heard("MAIL FROM:<s@a.test> SIZE=100"));
}

TEST_F(SessionTest, TellsWhatTheServerCanUse)
{
    request_.encoding = "8bit";
    request_.ret_flags = 2;
    request_.envelope_id = "id+1";
    request_.recipients[0].notify = notify::failure | notify::delay;
    request_.recipients[0].dsn_original = "rfc822;o@b.test";
    run({greeting, pipelining, {"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"}, {text_end, "250 queued\r\n"}});
    EXPECT_TRUE(has_heard("MAIL FROM:<s@a.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=id+2B1"));
    EXPECT_TRUE(has_heard("RCPT TO:<r1@b.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;o@b.test"));
}

TEST_F(SessionTest, FallsBackToHelo)
{
    run({greeting,
         {"EHLO", "502 what?\r\n"},
         {"HELO client.test", "250 mx.test\r\n"},
         {"MAIL FROM:<s@a.test>", "250 ok\r\n"},
         {"RCPT", "250 ok\r\n"},
         {"DATA", "354 go\r\n"},
         {text_end, "250 queued\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
}

// One reply for each of MAIL, RCPT, RCPT, DATA in one go; what becomes of the two.
struct OrderRow {
    const char* name;
    const char* replies;
    const char* end; // reply to the end mark; empty: none must come
    DeliveryOutcome first;
    DeliveryOutcome second;
    const char* second_reason;
};
class ReplyOrders : public SessionTest, public testing::WithParamInterface<OrderRow>
{
};

TEST_P(ReplyOrders, OfAPipelinedEnvelope)
{
    const OrderRow& row = GetParam();
    add_recipient("r2@b.test");
    Script script{greeting, pipelining, {"DATA", row.replies}};
    if (*row.end)
        script.push_back({text_end, row.end});
    run(script);
    EXPECT_EQ(status(0).outcome, row.first);
    EXPECT_EQ(status(1).outcome, row.second);
    EXPECT_NE(status(1).reason.find(row.second_reason), std::string::npos) << status(1).reason;
    EXPECT_TRUE(reusable_);
}

constexpr auto sent = DeliveryOutcome::sent;
constexpr auto bounced = DeliveryOutcome::bounced;
constexpr auto deferred = DeliveryOutcome::deferred;
INSTANTIATE_TEST_SUITE_P(
    Orders, ReplyOrders,
    testing::Values(
        OrderRow{"AllGood", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "250 e\r\n", sent, sent, "250 e"},
        OrderRow{"SecondUnknown", "250 a\r\n250 b\r\n550 5.1.1 c\r\n354 d\r\n", "250 e\r\n", sent, bounced,
                 "said: 550 5.1.1 c (in reply to RCPT TO command)"},
        OrderRow{"SecondLater", "250 a\r\n250 b\r\n450 c\r\n354 d\r\n", "250 e\r\n", sent, deferred,
                 "in reply to RCPT TO command"},
        OrderRow{"MailRefused", "550 a\r\n503 b\r\n503 c\r\n503 d\r\n", "", bounced, bounced,
                 "550 a (in reply to MAIL FROM command)"},
        OrderRow{"MailLater", "450 a\r\n503 b\r\n503 c\r\n503 d\r\n", "", deferred, deferred,
                 "450 a (in reply to MAIL FROM command)"},
        OrderRow{"NobodyButGoAhead", "250 a\r\n550 b\r\n550 c\r\n354 d\r\n", "554 e\r\n", bounced, bounced,
                 "550 c"},
        OrderRow{"NobodyAndNoData", "250 a\r\n550 b\r\n550 c\r\n554 d\r\n", "", bounced, bounced, "550 c"},
        OrderRow{"MailRefusedButGoAhead", "550 a\r\n250 b\r\n250 c\r\n354 d\r\n", "554 e\r\n", bounced,
                 bounced, "550 a"},
        OrderRow{"DataRefused", "250 a\r\n250 b\r\n250 c\r\n554 5.7.1 d\r\n", "", bounced, bounced,
                 "554 5.7.1 d (in reply to DATA command)"},
        OrderRow{"DataLater", "250 a\r\n250 b\r\n250 c\r\n451 d\r\n", "", deferred, deferred,
                 "in reply to DATA command"},
        OrderRow{"EndRefused", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "554 spam\r\n", bounced, bounced,
                 "554 spam (in reply to end of DATA command)"},
        OrderRow{"EndLater", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "452 full\r\n", deferred, deferred,
                 "452 full (in reply to end of DATA command)"},
        OrderRow{"MultiLine", "250-a\r\n250 a\r\n250 b\r\n550-5.1.1 c\r\n550 5.1.1 d\r\n354 e\r\n",
                 "250-f\r\n250 g\r\n", sent, bounced, "550-5.1.1 c 550 5.1.1 d"}),
    [](const auto& row) { return std::string(row.param.name); });

// A probe until DATA ends its connection where the text would begin.
TEST_F(SessionTest, AProbeUntilDataSendsNoEndMark)
{
    params_.verify_target.set("data");
    request_.trace_flags = trace_flag::probe;
    run({greeting, pipelining, {"DATA", "250 a\r\n250 2.1.5 b\r\n354 c\r\n"}});
    EXPECT_EQ(status().outcome, sent);
    EXPECT_EQ(status().reason, "250 2.1.5 b");
    EXPECT_EQ(heard_.back(), "DATA");
    EXPECT_FALSE(reusable_);
}

TEST_F(SessionTest, AProbeUntilDataHearsTheRefusal)
{
    params_.verify_target.set("data");
    request_.trace_flags = trace_flag::probe;
    run({greeting, plain_ehlo, {"MAIL", "250 a\r\n"}, {"RCPT", "250 b\r\n"}, {"DATA", "554 5.7.1 c\r\n"}});
    EXPECT_EQ(status().outcome, bounced);
    EXPECT_EQ(status().reason, "host mx.test[192.0.2.1] said: 554 5.7.1 c (in reply to DATA command)");
    EXPECT_TRUE(reusable_);
}

TEST_F(SessionTest, AnotherProbeEndsBeforeData)
{
    request_.trace_flags = trace_flag::probe;
    run({greeting, plain_ehlo, {"MAIL", "250 a\r\n"}, {"RCPT", "250 b\r\n"}});
    EXPECT_EQ(status().reason, "250 b");
    EXPECT_FALSE(has_heard("DATA"));
}

// The server leaves, or says nothing, at one point of the dialogue.
struct EndRow {
    const char* name;
    int steps; // of the dialogue that still happen
    const char* doing;
};
class Breaks : public SessionTest, public testing::WithParamInterface<EndRow>
{
protected:
    void run_to(const char* end)
    {
        Script script{greeting,
                      plain_ehlo,
                      {"MAIL FROM:<s@a.test>", "250 ok\r\n"},
                      {"RCPT", "250 ok\r\n"},
                      {"DATA", "354 go\r\n"},
                      {text_end, "250 ok\r\n"}};
        script.resize(static_cast<std::size_t>(GetParam().steps) + 1);
        script.back().send = end;
        run(script);
    }
    std::string reason() const { return refusal_ ? refusal_->reason : status().reason; }
};

TEST_P(Breaks, ByAHangUp)
{
    run_to(hang_up);
    EXPECT_EQ(reason(), "lost connection with mx.test[192.0.2.1] while " + std::string(GetParam().doing));
    EXPECT_FALSE(result_.stale);
}

TEST_P(Breaks, BySilence)
{
    Param<Seconds>* const times[] = {&params_.helo_timeout,      &params_.helo_timeout,
                                     &params_.mail_timeout,      &params_.rcpt_timeout,
                                     &params_.data_init_timeout, &params_.data_done_timeout};
    times[GetParam().steps]->set(Seconds(0));
    run_to(be_silent);
    EXPECT_EQ(reason(),
              "conversation with mx.test[192.0.2.1] timed out while " + std::string(GetParam().doing));
}

INSTANTIATE_TEST_SUITE_P(
    Phases, Breaks,
    testing::Values(EndRow{"Greeting", 0, "receiving the initial server greeting"},
                    EndRow{"Ehlo", 1, "performing the EHLO handshake"},
                    EndRow{"Mail", 2, "sending MAIL FROM"}, EndRow{"Rcpt", 3, "sending RCPT TO"},
                    EndRow{"Data", 4, "sending DATA command"},
                    EndRow{"End", 5, "sending end of data -- message may be sent more than once"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(SessionTest, RefusedGreetingIsDeferredByDefault)
{
    run({{"", "554 go away\r\n"}});
    ASSERT_TRUE(refusal_);
    EXPECT_EQ(refusal_->outcome, DeliveryOutcome::deferred);
    EXPECT_EQ(refusal_->reason, "host mx.test[192.0.2.1] refused to talk to me: 554 go away");
}

TEST_F(SessionTest, RefusedGreetingBouncesWhenAskedTo)
{
    params_.skip_5xx_greeting.set(false);
    run({{"", "554 go away\r\n"}});
    ASSERT_TRUE(refusal_);
    EXPECT_EQ(refusal_->outcome, DeliveryOutcome::bounced);
}

TEST_F(SessionTest, GarbageIsNoReply)
{
    run({{"", "SSH-2.0-server\r\n"}});
    ASSERT_TRUE(refusal_);
    EXPECT_EQ(refusal_->dsn, "4.5.0");
}

TEST_F(SessionTest, AMessageTooLargeIsNotEvenTried)
{
    request_.content_length = 5000;
    run({greeting, pipelining});
    EXPECT_EQ(status().dsn, "5.3.4");
    EXPECT_EQ(status().reason, "message size 5000 exceeds size limit 1000 of server mx.test[192.0.2.1]");
    EXPECT_FALSE(has_heard("DATA"));
}

TEST_F(SessionTest, AKeptConnectionServesTheNextMessage)
{
    transactions_ = 2;
    const Step envelope{"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"};
    run({greeting, pipelining, envelope, {text_end, "250 one\r\n"}, envelope, {text_end, "250 two\r\n"}});
    EXPECT_EQ(status().reason, "250 two");
    EXPECT_FALSE(has_heard("RSET")) << "an ended transaction needs none";
}

TEST_F(SessionTest, AnOpenTransactionIsResetBeforeTheNext)
{
    transactions_ = 2;
    run({greeting,
         pipelining,
         {"DATA", "250 ok\r\n550 no\r\n554 no\r\n"},
         {"DATA", "250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
         {text_end, "250 two\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
    EXPECT_TRUE(has_heard("RSET"));
}

// The server took the text behind its early refusal for commands: "502" would have been
// the answer to the next MAIL, and the next message would have bounced.
TEST_F(SessionTest, AConnectionWhoseTextWasRefusedTakesNoOther)
{
    run({greeting, pipelining, {"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"}, {text_end, "451 later\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::deferred);
    EXPECT_FALSE(may_take_another_);
    EXPECT_TRUE(has_heard("QUIT"));
}

TEST_F(SessionTest, AResetThatIsRefusedSaysNothingAboutTheMessage)
{
    transactions_ = 2;
    run({greeting,
         pipelining,
         {"DATA", "250 ok\r\n550 no\r\n554 no\r\n"},
         {"DATA", "502 what\r\n502 what\r\n502 what\r\n502 what\r\n"}});
    EXPECT_TRUE(result_.stale);
    EXPECT_FALSE(reusable_);
}

struct StaleRow {
    const char* name;
    const char* answer;
};
class KeptConnection : public SessionTest, public testing::WithParamInterface<StaleRow>
{
};
TEST_P(KeptConnection, ThatIsOfNoUseSaysNothingAboutTheMessage)
{
    transactions_ = 2;
    run({greeting,
         pipelining,
         {"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"},
         {text_end, "250 one\r\n"},
         {"MAIL", GetParam().answer}});
    EXPECT_TRUE(result_.stale);
    EXPECT_FALSE(reusable_);
}
INSTANTIATE_TEST_SUITE_P(Ways, KeptConnection,
                         testing::Values(StaleRow{"HungUp", hang_up}, StaleRow{"Closing", "421 timeout\r\n"},
                                         StaleRow{"EnoughMail", "452 4.3.1 too many\r\n"}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_F(SessionTest, AnUnreadableMessageNeverGetsAnEndMark)
{
    text_ = {};
    run({greeting, plain_ehlo, {"MAIL", "250 ok\r\n"}, {"RCPT", "250 ok\r\n"}, {"DATA", "354 go\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::deferred);
    EXPECT_FALSE(has_heard("."));
    EXPECT_FALSE(reusable_);
}

TEST_F(SessionTest, ATextInManyBlocksArrivesWhole)
{
    text_.assign(40, std::string(15000, 'x') + "\r\n");
    text_.push_back(".\r\n");
    run({greeting, pipelining, {"DATA", "250 ok\r\n250 ok\r\n354 go\r\n"}, {text_end, "250 one\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
}

TEST_F(SessionTest, AServerThatHasHadEnoughIsHeard)
{
    text_.assign(200, std::string(60000, 'x') + "\r\n");
    run({greeting,
         plain_ehlo,
         {"MAIL", "250 ok\r\n"},
         {"RCPT", "250 ok\r\n"},
         {"DATA", "354 go\r\n"},
         {"x", "552 5.3.4 too big\r\n"},
         {"x", hang_up}});
    EXPECT_EQ(status().reason,
              "host mx.test[192.0.2.1] said: 552 5.3.4 too big (in reply to end of DATA command)");
    EXPECT_EQ(status().outcome, DeliveryOutcome::bounced);
}

TEST_F(SessionTest, AProbeEndsBeforeTheText)
{
    request_.trace_flags = 512;
    run({greeting, pipelining, {"RCPT", "250 ok\r\n250 2.1.5 fine\r\n"}});
    EXPECT_EQ(status().outcome, DeliveryOutcome::sent);
    EXPECT_EQ(status().reason, "250 2.1.5 fine");
    EXPECT_FALSE(has_heard("DATA"));
}

} // namespace
