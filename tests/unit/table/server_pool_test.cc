#include "table/server_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

namespace bulkhead
{
namespace
{

using namespace std::chrono_literals;
using testing::HasSubstr;

// Servers that a test switches off and on.
struct FakeServers {
    std::map<std::string, bool> runs;      // by host
    std::map<std::string, int> generation; // connections of an older one are lost
    std::map<std::string, int> connects;
    std::mutex mutex;
};

class FakeConnection final : public ServerConnection
{
public:
    FakeConnection(FakeServers& servers, std::string host, int generation)
        : servers_(servers), host_(std::move(host)), generation_(generation)
    {
    }
    bool quote(std::size_t, std::string_view text, std::string& out) override
    {
        out += text;
        return true;
    }
    ServerAnswer ask(const std::vector<std::string>& parts, std::chrono::steady_clock::time_point,
                     ServerValues& values, std::string& reason) override
    {
        const std::lock_guard lock(servers_.mutex);
        if (!servers_.runs[host_] || servers_.generation[host_] != generation_) {
            reason = "gone away";
            return ServerAnswer::lost;
        }
        if (parts.front() == "bad") {
            reason = "syntax error";
            return ServerAnswer::failed;
        }
        values.add(host_ + ":" + parts.front());
        return ServerAnswer::values;
    }

private:
    FakeServers& servers_;
    std::string host_;
    int generation_;
};

class FakeDriver final : public ServerDriver
{
public:
    FakeDriver(FakeServers& servers, bool in_order) : servers_(servers), in_order_(in_order) {}
    std::vector<ServerQuestion> questions() const override { return {{"query", "%s"}}; }
    std::vector<std::string> hosts() const override { return {}; }
    bool keeps_order() const override { return in_order_; }
    std::unique_ptr<ServerConnection> connect(const ServerHost& host, std::chrono::steady_clock::time_point,
                                              std::string& reason) override
    {
        const std::lock_guard lock(servers_.mutex);
        ++servers_.connects[host.text];
        if (servers_.runs[host.text])
            return std::make_unique<FakeConnection>(servers_, host.text, servers_.generation[host.text]);
        reason = "Connection refused";
        return nullptr;
    }

private:
    FakeServers& servers_;
    bool in_order_;
};

class Pool
{
public:
    Pool(std::vector<std::string> hosts, PoolTimes times = {}, bool in_order = true)
    {
        std::vector<ServerHost> parsed;
        for (const std::string& host : hosts) {
            servers.runs[host] = true;
            parsed.push_back(parse_server_host(host));
        }
        pool_.emplace(std::make_unique<FakeDriver>(servers, in_order), std::move(parsed), times);
    }
    // "=value" or the reason.
    std::string ask(const std::string& key)
    {
        ServerValues values;
        std::string reason;
        const auto compose = [&](ServerConnection&) { return std::optional(std::vector{key}); };
        return pool_->ask(compose, values, reason) ? "=" + values.all().at(0) : reason;
    }
    std::vector<std::string> warnings() { return pool_->take_warnings(); }

    FakeServers servers;

private:
    std::optional<ServerPool> pool_;
};

TEST(ServerHost, HasManyForms)
{
    EXPECT_EQ(parse_server_host("unix:/run/x").socket, "/run/x");
    EXPECT_EQ(parse_server_host("inet:h:3306").name, "h");
    EXPECT_EQ(parse_server_host("inet:h:3306").port, "3306");
    EXPECT_EQ(parse_server_host("h").port, "");
    EXPECT_EQ(parse_server_host("[2001:db8::1]:5").name, "2001:db8::1");
    EXPECT_EQ(parse_server_host("[2001:db8::1]:5").port, "5");
    EXPECT_EQ(parse_server_host("2001:db8::1").name, "2001:db8::1");
    EXPECT_EQ(parse_server_host("postgresql://u:p@h:7/db?x=y").name, "h");
    EXPECT_EQ(parse_server_host("postgresql://u:p@h:7/db?x=y").port, "7");
    EXPECT_EQ(parse_server_host("ldapi://%2Frun%2Fx").name, "");
    EXPECT_EQ(parse_server_host("[").name, "");
}

TEST(ServerPool, KeepsAConnection)
{
    Pool pool({"unix:/a"});
    EXPECT_EQ(pool.ask("1"), "=unix:/a:1");
    EXPECT_EQ(pool.ask("2"), "=unix:/a:2");
    EXPECT_EQ(pool.servers.connects["unix:/a"], 1);
}

TEST(ServerPool, ReconnectsWhenAConnectionWasLost)
{
    Pool pool({"unix:/a"});
    EXPECT_EQ(pool.ask("1"), "=unix:/a:1");
    ++pool.servers.generation["unix:/a"];
    EXPECT_EQ(pool.ask("2"), "=unix:/a:2");
    EXPECT_EQ(pool.servers.connects["unix:/a"], 2);
}

TEST(ServerPool, GoesOnToTheNextHostAndLeavesTheFailedOneAlone)
{
    Pool pool({"unix:/a", "unix:/b"});
    pool.servers.runs["unix:/a"] = false;
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(pool.ask("k"), "=unix:/b:k");
        ++pool.servers.generation["unix:/b"];
    }
    EXPECT_EQ(pool.servers.connects["unix:/a"], 1);
    EXPECT_THAT(pool.warnings(), testing::ElementsAre("host unix:/a: Connection refused"));
    EXPECT_TRUE(pool.warnings().empty());
}

TEST(ServerPool, AsksAFailedHostAgainAfterAWhile)
{
    Pool pool({"unix:/a", "unix:/b"}, {.retry = 0ms});
    pool.servers.runs["unix:/a"] = false;
    EXPECT_EQ(pool.ask("k"), "=unix:/b:k");
    pool.servers.runs["unix:/a"] = true;
    ++pool.servers.generation["unix:/b"];
    EXPECT_EQ(pool.ask("k"), "=unix:/a:k");
}

TEST(ServerPool, SaysWhyWhenNoHostAnswers)
{
    Pool pool({"unix:/a", "unix:/b"});
    pool.servers.runs["unix:/a"] = pool.servers.runs["unix:/b"] = false;
    EXPECT_EQ(pool.ask("k"), "host unix:/b: Connection refused");
    EXPECT_EQ(pool.ask("k"), "host unix:/b: Connection refused"); // both are left alone now
    EXPECT_EQ(pool.servers.connects["unix:/a"], 1);
}

TEST(ServerPool, AnOnlyHostIsTriedSoon)
{
    Pool pool({"unix:/a"}, {.only_host_retry = 0ms});
    pool.servers.runs["unix:/a"] = false;
    EXPECT_THAT(pool.ask("k"), HasSubstr("refused"));
    pool.servers.runs["unix:/a"] = true;
    EXPECT_EQ(pool.ask("k"), "=unix:/a:k");
}

TEST(ServerPool, ARefusedQuestionSaysNothingAboutTheHost)
{
    Pool pool({"unix:/a"});
    EXPECT_EQ(pool.ask("bad"), "host unix:/a: syntax error");
    EXPECT_EQ(pool.ask("good"), "=unix:/a:good");
    EXPECT_EQ(pool.servers.connects["unix:/a"], 1);
}

TEST(ServerPool, ClosesIdleConnections)
{
    Pool pool({"unix:/a"}, {.idle = -1ms});
    EXPECT_EQ(pool.ask("1"), "=unix:/a:1");
    EXPECT_EQ(pool.ask("2"), "=unix:/a:2");
    EXPECT_EQ(pool.servers.connects["unix:/a"], 2);
}

TEST(ServerPool, TriesSocketsFirst)
{
    for (int i = 0; i < 20; ++i) {
        Pool pool({"127.0.0.1", "127.0.0.2", "unix:/a"}, {}, false);
        EXPECT_EQ(pool.ask("k"), "=unix:/a:k");
    }
}

TEST(ServerPool, AnswersSeveralThreads)
{
    Pool pool({"unix:/a", "unix:/b"});
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int n = 0; n < 8; ++n)
        threads.emplace_back([&, n] {
            for (int i = 0; i < 500; ++i) {
                const std::string key = std::to_string(n * 1000 + i);
                right += pool.ask(key).ends_with(":" + key);
                const std::lock_guard lock(pool.servers.mutex);
                pool.servers.generation["unix:/a"] += i % 50 == 0;
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_GE(right, 3900); // one whose fresh connection was lost, too, may be told so
    EXPECT_LE(pool.servers.connects["unix:/a"] + pool.servers.connects["unix:/b"], 900);
}

} // namespace
} // namespace bulkhead
