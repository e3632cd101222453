// Tables on servers: what replies mean, and what the client does when servers fail.
#include "table/lookup_client.h"
#include "table/netstring.h"
#include "table/settings.h"
#include "table/socketmap_table.h"
#include "table/tcp_table.h"
#include "table/writable_table.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include <fmt/format.h>

namespace bulkhead
{
namespace
{

TEST(Netstring, EndsWhereItSays)
{
    const auto one = parse_netstring("5:hello,3:", 10);
    ASSERT_TRUE(one && *one);
    EXPECT_EQ((*one)->text, "hello");
    EXPECT_EQ((*one)->encoded, 8u);
}

TEST(Netstring, WaitsForItsEnd)
{
    for (const char* part : {"", "5", "5:", "5:hello", "10:"}) {
        const auto one = parse_netstring(part, 10);
        ASSERT_TRUE(one) << part;
        EXPECT_FALSE(*one) << part;
    }
}

TEST(Netstring, RefusesWhatIsNone)
{
    for (const char* bad : {":", "a", "-1:", " 5:", "05:hello,", "5:hello;", "1234567890:", "11:"})
        EXPECT_FALSE(parse_netstring(bad, 10)) << bad;
}

TEST(SocketmapReply, HasFiveWords)
{
    EXPECT_EQ(parse_socketmap_reply("OK a b").value(), "a b");
    EXPECT_TRUE(parse_socketmap_reply("NOTFOUND ").is_absent());
    EXPECT_EQ(parse_socketmap_reply("TEMP down").reason(), "the server says TEMP: down");
    EXPECT_EQ(parse_socketmap_reply("TIMEOUT db").reason(), "the server says TIMEOUT: db");
    EXPECT_EQ(parse_socketmap_reply("PERM no\nsuch").reason(), "the server says PERM: no?such");
    for (const char* bad : {"", "ok x", "OK", "OK ", "FOUND x"})
        EXPECT_TRUE(parse_socketmap_reply(bad).is_broken()) << bad;
}

TEST(TcpReply, IsQuoted)
{
    EXPECT_EQ(tcp_quote("a b%\n\xe4"), "a%20b%25%0A%E4");
    EXPECT_EQ(parse_tcp_reply("200 a%20b%25").value(), "a b%");
    EXPECT_TRUE(parse_tcp_reply("500 none").is_absent());
    EXPECT_EQ(parse_tcp_reply("400 try%20later").reason(), "the server says 400: try later");
    for (const char* bad : {"", "200", "300 x", "200 %", "200 %2", "200 %zz", "2000 x"})
        EXPECT_TRUE(parse_tcp_reply(bad).is_broken()) << bad;
}

// A server on a free port of this machine; `talk` has each connection in a thread.
class Server
{
public:
    explicit Server(std::function<void(int fd)> talk) : talk_(std::move(talk))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(::listen(fd_, 64), 0);
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~Server()
    {
        over_ = true;
        ::shutdown(fd_, SHUT_RDWR);
        acceptor_.join();
        for (const int fd : clients_)
            ::shutdown(fd, SHUT_RDWR);
        for (std::thread& thread : threads_)
            thread.join();
        for (const int fd : clients_)
            ::close(fd);
        ::close(fd_);
    }
    std::string name() const { return fmt::format("127.0.0.1:{}", port_); }
    int connections() const { return connections_; }

private:
    void accept_all()
    {
        for (;;) {
            const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0 || over_)
                return;
            ++connections_;
            clients_.push_back(fd);
            threads_.emplace_back([this, fd] {
                talk_(fd);
                ::shutdown(fd, SHUT_RDWR);
            });
        }
    }

    std::function<void(int fd)> talk_;
    int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port_ = 0;
    std::atomic<bool> over_ = false;
    std::atomic<int> connections_ = 0;
    std::thread acceptor_;
    std::vector<int> clients_;
    std::vector<std::thread> threads_;
};

std::string read_line(int fd)
{
    std::string line;
    for (char c = 0; ::recv(fd, &c, 1, 0) == 1;) {
        line += c;
        if (c == '\n')
            break;
    }
    return line;
}

void say(int fd, std::string_view text)
{
    (void)!::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

// "get x" -> "200 x".
void echo(int fd)
{
    for (std::string line = read_line(fd); line.starts_with("get "); line = read_line(fd))
        say(fd, "200 " + line.substr(4));
}

Lookup ask_tcp(const Server& server, std::string_view key)
{
    auto table = open_table("tcp:" + server.name());
    EXPECT_TRUE(table);
    return (*table)->find(key);
}

TEST(TcpTable, AsksOneServerOverOneConnection)
{
    const Server server(echo);
    auto table = open_table("tcp:" + server.name());
    ASSERT_TRUE(table);
    EXPECT_TRUE((*table)->may_block());
    EXPECT_FALSE((*table)->has_fixed_keys());
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ((*table)->find("Joe Doe").value(), "Joe Doe");
    EXPECT_EQ(server.connections(), 1);
}

TEST(TcpTable, TwoTablesOnOneServerShareConnections)
{
    const Server server(echo);
    auto first = open_table("tcp:" + server.name());
    auto second = open_table("tcp:" + server.name());
    EXPECT_TRUE((*first)->find("a").is_found());
    EXPECT_TRUE((*second)->find("b").is_found());
    EXPECT_EQ(server.connections(), 1);
}

TEST(TcpTable, ManyThreadsAskAtOnce)
{
    const Server server(echo);
    auto table = open_table("tcp:" + server.name());
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                const std::string key = fmt::format("{}.{}", t, i);
                const Lookup answer = (*table)->find(key);
                right += answer.is_found() && answer.value() == key;
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(right, 400);
    EXPECT_LE(server.connections(), 8);
}

TEST(TcpTable, ATableOfADeadServerIsBrokenAndSaysWhich)
{
    std::string name;
    {
        const Server server(echo);
        name = server.name();
    }
    auto table = open_table("tcp:" + name);
    ASSERT_TRUE(table);
    const Lookup answer = (*table)->find("a");
    ASSERT_TRUE(answer.is_broken());
    EXPECT_EQ(answer.reason(), fmt::format("tcp:{0}: inet:{0}: connect: Connection refused", name));
}

TEST(TcpTable, ARequestGoesOnceMoreWhenAKeptConnectionHasDied)
{
    const Server server([](int fd) { say(fd, "200 " + read_line(fd).substr(4)); }); // one answer only
    auto table = open_table("tcp:" + server.name());
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE((*table)->find("a").is_found());
    EXPECT_EQ(server.connections(), 3);
}

TEST(TcpTable, RefusesALongReply)
{
    const Server server([](int fd) {
        read_line(fd);
        say(fd, "200 " + std::string(tcp_reply_limit, 'x'));
        read_line(fd);
    });
    const Lookup answer = ask_tcp(server, "a");
    ASSERT_TRUE(answer.is_broken());
    EXPECT_NE(answer.reason().find("longer than 4096 bytes"), std::string::npos) << answer.reason();
}

TEST(TcpTable, RefusesTwoReplies)
{
    const Server server([](int fd) {
        read_line(fd);
        say(fd, "200 a\n200 b\n");
        read_line(fd);
    });
    EXPECT_TRUE(ask_tcp(server, "a").is_broken());
}

Result<std::size_t> one_line(std::string_view bytes)
{
    return bytes.find('\n') + 1;
}

TEST(LookupClient, ASilentServerCostsOneTimeLimitThenNothing)
{
    const Server server([](int fd) {
        while (!read_line(fd).empty()) {
        }
    });
    LookupClient::Limits limits;
    limits.time = Milliseconds(50);
    limits.first_pause = Milliseconds(60'000);
    limits.longest_pause = Milliseconds(60'000);
    LookupClient client(*ServerName::parse("inet:" + server.name()), limits);
    const auto first = client.exchange("get a\n", one_line);
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().fault, Fault::timeout);
    const auto second = client.exchange("get a\n", one_line);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().fault, Fault::broken);
    EXPECT_EQ(second.error().context, first.error().context);
    EXPECT_EQ(server.connections(), 1);
}

TEST(LookupClient, AsksAgainAfterThePause)
{
    std::atomic<bool> well = false;
    const Server server([&](int fd) {
        for (std::string line = read_line(fd); !line.empty() && well; line = read_line(fd))
            say(fd, "yes\n");
    });
    LookupClient::Limits limits;
    limits.first_pause = limits.longest_pause = Milliseconds(1);
    LookupClient client(*ServerName::parse("inet:" + server.name()), limits);
    ASSERT_FALSE(client.exchange("a\n", one_line));
    well = true;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool answered = false;
    while (!answered && std::chrono::steady_clock::now() < deadline)
        answered = static_cast<bool>(client.exchange("a\n", one_line));
    EXPECT_TRUE(answered);
}

TEST(LookupClient, AnOldConnectionIsNotUsedAgain)
{
    const Server server(echo);
    LookupClient::Limits limits;
    limits.life = Milliseconds(-1);
    LookupClient client(*ServerName::parse("inet:" + server.name()), limits);
    ASSERT_TRUE(client.exchange("get a\n", one_line));
    ASSERT_TRUE(client.exchange("get a\n", one_line));
    EXPECT_EQ(server.connections(), 2);
}

TEST(ServerName, RefusesWhatIsNone)
{
    for (const char* bad :
         {"", "inet:", "inet:host", "inet::25", "inet:host:", "unix:", "host:25", "inet:[]:25"})
        EXPECT_FALSE(ServerName::parse(bad)) << bad;
    EXPECT_EQ(ServerName::parse("inet:[::1]:25")->host, "::1");
}

// Answers the first query with as many bytes as it asks for: "name 20".
void answer_at_length(int fd)
{
    std::string query;
    for (char c = 0; c != ',' && ::recv(fd, &c, 1, 0) == 1;)
        query += c;
    const std::size_t size = std::stoul(query.substr(query.find(' ')));
    const std::string text = "OK " + std::string(size - 3, 'x');
    say(fd, fmt::format("{}:{},", text.size(), text));
}

TEST(SocketmapTable, HasLimitsForQueriesAndReplies)
{
    const TableSettings before = table_settings();
    table_settings().socketmap_query_limit = 20;
    table_settings().socketmap_reply_limit = 50;
    const Server server(answer_at_length);
    auto table = open_table(fmt::format("socketmap:inet:{}:name", server.name()));
    ASSERT_TRUE(table);
    EXPECT_EQ((*table)->find("50").value().size(), 47U);
    EXPECT_TRUE((*table)->find("51").is_broken());
    const Lookup long_query = (*table)->find(std::string(16, '5'));
    ASSERT_TRUE(long_query.is_broken());
    EXPECT_TRUE(long_query.reason().ends_with("the query is too long")) << long_query.reason();
    table_settings() = before;
}

TEST(SocketmapTable, NeedsAServerAndAName)
{
    for (const char* bad :
         {"socketmap:inet:127.0.0.1:25", "socketmap:unix:/tmp/x", "socketmap:x", "tcp:host"})
        EXPECT_FALSE(open_table(bad)) << bad;
}

// ---- tables that are written to

struct TemporaryFolder {
    TemporaryFolder()
    {
        std::string name = "/tmp/bh-cache.XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    std::string path;
};

TEST(CacheTable, KeepsWhatIsStored)
{
    const TemporaryFolder folder;
    for (int life = 0; life < 2; ++life) {
        auto cache = open_writable_table("btree:" + folder.path + "/cache");
        ASSERT_TRUE(cache) << cache.error().context;
        if (life == 0) {
            EXPECT_TRUE((*cache)->store("a", "1"));
            EXPECT_TRUE((*cache)->store("a", "2"));
            EXPECT_TRUE((*cache)->store("b", std::string("x\0y", 3)));
        }
        EXPECT_EQ((*cache)->find("a").value(), "2");
        EXPECT_EQ((*cache)->find("b").value(), std::string("x\0y", 3));
        EXPECT_TRUE((*cache)->find("c").is_absent());
    }
}

TEST(CacheTable, IsWalkedWhileItChanges)
{
    const TemporaryFolder folder;
    auto cache = *open_writable_table("btree:" + folder.path + "/cache");
    for (const char* key : {"a", "b", "c", "d"})
        ASSERT_TRUE(cache->store(key, key));
    std::set<std::string> seen;
    std::string place;
    for (;;) {
        const auto entry = cache->after(place);
        ASSERT_TRUE(entry);
        if (!*entry)
            break;
        place = (*entry)->key;
        seen.insert(place);
        const auto removed = cache->remove(place);
        EXPECT_TRUE(removed && *removed);
    }
    EXPECT_EQ(seen, (std::set<std::string>{"a", "b", "c", "d"}));
    const auto again = cache->remove("a");
    EXPECT_TRUE(again && !*again);
}

TEST(CacheTable, GrowsAsItNeeds)
{
    const TemporaryFolder folder;
    auto cache = *open_writable_table("btree:" + folder.path + "/cache");
    const std::string value(256 << 10, 'v');
    for (int i = 0; i < 100; ++i) // 25 MiB into a map of 16
        ASSERT_TRUE(cache->store(fmt::format("{}", i), value)) << i;
    EXPECT_EQ(cache->find("0").value(), value);
    EXPECT_EQ(cache->find("99").value(), value);
}

TEST(CacheTable, ManyThreadsUseItAtOnce)
{
    const TemporaryFolder folder;
    auto cache = *open_writable_table("btree:" + folder.path + "/cache");
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) {
                const std::string key = fmt::format("{}.{}", t, i);
                const bool stored = static_cast<bool>(cache->store(key, key));
                const Lookup answer = cache->find(key);
                right += stored && answer.is_found() && answer.value() == key;
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(right, 80);
}

TEST(CacheTable, RefusesWhatDoesNotFit)
{
    const TemporaryFolder folder;
    auto cache = *open_writable_table("btree:" + folder.path + "/cache");
    EXPECT_FALSE(cache->store("", "x"));
    EXPECT_FALSE(cache->store(std::string(512, 'k'), "x"));
    EXPECT_FALSE(cache->store("k", std::string(1 << 20, 'x')));
    EXPECT_TRUE(cache->find(std::string(512, 'k')).is_absent());
    EXPECT_FALSE(open_writable_table("pcre:/etc/x"));
}

} // namespace
} // namespace bulkhead
