// smtpd_proxy_filter with a filter that is a thread behind a socket of the loopback interface.
#include "harness.h"

#include "policy_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead::smtpd_test
{

namespace
{

using namespace std::string_view_literals;
using testing::HasSubstr;
using testing::StartsWith;

// One conversation; refuses recipients whose address has "refused" in it.
class Filter
{
public:
    Filter()
    {
        listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        const bool listens = ::bind(listener_.get(), any, size) == 0 && ::listen(listener_.get(), 1) == 0 &&
                             ::getsockname(listener_.get(), any, &size) == 0;
        ensure(listens, "a filter of the test");
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Filter() { stop(); }

    std::uint16_t port() const { return port_; }
    void stop()
    {
        ::shutdown(listener_.get(), SHUT_RDWR); // accept() gives up
        if (thread_.joinable())
            thread_.join();
    }

    std::string heard; // complete after stop()

private:
    void serve()
    {
        const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!client)
            return;
        BlockingClient side(client.get());
        side.send("220 filter.test\r\n");
        bool text = false;
        while (const auto line = side.read_line()) {
            heard += *line + "\n";
            if (text && *line != ".")
                continue;
            if (text)
                side.send("250 2.0.0 Ok: seen\r\n");
            else if (line->starts_with("EHLO"))
                side.send("250-filter.test\r\n250 XFORWARD NAME ADDR PROTO HELO SOURCE\r\n");
            else if (*line == "DATA")
                side.send("354 go\r\n");
            else if (line->find("refused") != std::string::npos)
                side.send("550 5.1.1 the filter says no\r\n");
            else
                side.send("250 2.0.0 Ok\r\n");
            text = *line == "DATA";
        }
    }

    UniqueFd listener_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

PolicyServerSpec place_of(const Filter& filter)
{
    PolicyServerSpec spec;
    spec.host = "127.0.0.1";
    spec.port = filter.port();
    return spec;
}

TEST(BeforeQueueFilter, HearsEachStepAndAnswersTheClient)
{
    Filter filter;
    Harness harness;
    harness.before_queue = place_of(filter);
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("EHLO client.test");
        EXPECT_EQ(client.say("MAIL FROM:<a@ext.test> SIZE=10"), "250 2.1.0 Ok");
        EXPECT_EQ(client.say("RCPT TO:<user@local.test>"), "250 2.1.5 Ok");
        EXPECT_EQ(client.say("RCPT TO:<refused@relay.test>"), "550 5.1.1 the filter says no");
        EXPECT_THAT(client.say("DATA"), StartsWith("354"));
        client.send("Subject: x\r\n\r\n..dot\r\nbare\nlf\rcr\0nul\r\n.\r\n"sv);
        EXPECT_EQ(client.read_reply(), "250 2.0.0 Ok: seen");
        EXPECT_THAT(client.say("RCPT TO:<user@local.test>"), StartsWith("503"));
    });
    filter.stop();
    EXPECT_EQ(harness.services.opened, 0);
    EXPECT_THAT(filter.heard,
                StartsWith("EHLO mx.example.test\n"
                           "XFORWARD NAME=localhost ADDR=127.0.0.1 HELO=client.test PROTO=ESMTP "
                           "SOURCE=LOCAL\n"
                           "MAIL FROM:<a@ext.test> SIZE=10\n"
                           "RCPT TO:<user@local.test>\n"
                           "RCPT TO:<refused@relay.test>\n"
                           "DATA\n"
                           "Received: from client.test (localhost [127.0.0.1])\n"
                           "\tby mx.example.test (Bulkhead) with ESMTP\n"));
    EXPECT_THAT(filter.heard, testing::EndsWith("Subject: x\n\n..dot\nbare\nlf crnul\n.\nQUIT\n"));
}

TEST(BeforeQueueFilter, SeesWholeMessagesOnly)
{
    char folder[] = "/tmp/before_queue_test.XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    ASSERT_EQ(::mkdir((std::string(folder) + "/incoming").c_str(), 0700), 0);
    char* const old = ::get_current_dir_name();
    ASSERT_EQ(::chdir(folder), 0);
    Filter filter;
    Harness harness("smtpd_proxy_options = speed_adjust\n");
    harness.before_queue = place_of(filter);
    std::string lines;
    for (int i = 0; i < 10'000; ++i)
        lines += "line " + std::to_string(i) + "\r\n";
    harness.talk([&](BlockingClient& client) {
        client.read_reply();
        client.say("EHLO client.test");
        client.say("MAIL FROM:<a@ext.test>");
        EXPECT_EQ(client.say("RCPT TO:<user@local.test>"), "250 2.1.5 Ok");
        EXPECT_THAT(client.say("DATA"), StartsWith("354"));
        client.send(lines + ".\r\n");
        EXPECT_EQ(client.read_reply(), "250 2.0.0 Ok: seen");
    });
    filter.stop();
    EXPECT_THAT(filter.heard, HasSubstr("line 0\n"));
    EXPECT_THAT(filter.heard, testing::EndsWith("line 9998\nline 9999\n.\nQUIT\n"));
    ASSERT_EQ(::chdir(old), 0);
    ::free(old);
    ::rmdir((std::string(folder) + "/incoming").c_str());
    ::rmdir(folder);
}

TEST(BeforeQueueFilter, ThatCannotBeHadIsATemporaryFailure)
{
    PolicyServerSpec nowhere;
    {
        Filter filter;
        nowhere = place_of(filter);
    }
    Harness harness;
    harness.before_queue = nowhere;
    harness.talk([](BlockingClient& client) {
        client.read_reply();
        client.say("EHLO client.test");
        client.say("MAIL FROM:<a@ext.test>");
        EXPECT_EQ(client.say("RCPT TO:<user@local.test>"), "451 4.3.0 Error: queue file write error");
    });
}

} // namespace

} // namespace bulkhead::smtpd_test
