#include "support.h"

#include "async/scope.h"
#include "async/task.h"
#include "dns/resolver.h"

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

using namespace bulkhead;
using namespace bulkhead::test;
using dns::Status;

namespace
{

class ResolverTest : public testing::Test
{
protected:
    void SetUp() override
    {
        server_.add("d.test", NameServer::mx, mx_data(20, "b.d.test"));
        server_.add("d.test", NameServer::mx, mx_data(10, "a.d.test"));
        server_.add("a.d.test", NameServer::a, std::string("\xc0\0\2\1", 4));
        server_.add("late.d.test", NameServer::a, std::string("\xc0\0\2\2", 4));
        server_.add("www.test", NameServer::cname, "a.d.test");
        server_.fail("broken.test");
        server_.drop("silent.test");
        server_.start();
        const std::string path = "/tmp/bulkhead-resolv-" + std::to_string(::getpid());
        std::ofstream(path) << "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        dns::ResolverOptions options;
        options.resolv_conf = path;
        options.port = server_.port();
        auto opened = dns::Resolver::open(options);
        std::remove(path.c_str());
        ASSERT_TRUE(opened) << opened.error().context;
        resolver_ = *std::move(opened);
    }

    static Task<> ask_mx(dns::Resolver* resolver, std::string name, dns::Answer<dns::MxRecord>* answer)
    {
        *answer = co_await resolver->mx(std::move(name));
        Loop::current().stop();
    }
    static Task<> ask_a(dns::Resolver* resolver, std::string name, dns::Answer<SocketAddress>* answer)
    {
        *answer = co_await resolver->a(std::move(name));
        Loop::current().stop();
    }

    dns::Answer<dns::MxRecord> mx(const std::string& name)
    {
        dns::Answer<dns::MxRecord> answer;
        scope_.spawn(ask_mx, resolver_.get(), name, &answer);
        if (scope_.size() > 0)
            Loop::current().run();
        return answer;
    }
    dns::Answer<SocketAddress> a(const std::string& name)
    {
        dns::Answer<SocketAddress> answer;
        scope_.spawn(ask_a, resolver_.get(), name, &answer);
        if (scope_.size() > 0)
            Loop::current().run();
        return answer;
    }

    NameServer server_;
    Scope scope_;
    std::unique_ptr<dns::Resolver> resolver_;
};

TEST_F(ResolverTest, FindsMailExchangers)
{
    const auto answer = mx("D.test");
    EXPECT_EQ(answer.status, Status::found);
    EXPECT_EQ(answer.records.size(), 2u);
}

TEST_F(ResolverTest, FollowsAliasesToAddresses)
{
    const auto answer = a("www.test");
    ASSERT_EQ(answer.status, Status::found);
    ASSERT_EQ(answer.records.size(), 1u);
    EXPECT_EQ(answer.records[0].text(), "192.0.2.1");
}

TEST_F(ResolverTest, AnswersFromItsCache)
{
    (void)a("a.d.test");
    EXPECT_EQ(a("a.d.test").status, Status::found);
}

TEST_F(ResolverTest, TellsTheKindsOfAbsenceApart)
{
    EXPECT_EQ(mx("nowhere.test").status, Status::not_found);
    EXPECT_EQ(mx("a.d.test").status, Status::no_data);
    EXPECT_EQ(mx("broken.test").status, Status::temporary);
    EXPECT_EQ(mx("silent.test").status, Status::temporary);
    EXPECT_EQ(mx("a..b").status, Status::not_found);
}

TEST_F(ResolverTest, AServerThatOnceWasSilentIsStillAsked)
{
    (void)a("silent.test");
    (void)mx("silent.test");
    EXPECT_EQ(a("late.d.test").status, Status::found);
}

} // namespace
