#include "ipc/rewrite.h"

#include "async/loop.h"
#include "async/scope.h"
#include "os/files.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

namespace bulkhead::ipc
{
namespace
{

// Says "here" of every address.
class Rules final : public RewriteSource
{
public:
    Result<std::string> rewrite(RewriteContext, std::string_view address) override
    {
        return std::string(address) + "@here";
    }
    Result<Resolved> resolve(std::string_view, std::string_view address) override
    {
        return Resolved{"here", "", std::string(address), AddressClass::other};
    }
};

// trivial-rewrite, which says "there" of every address.
class RewriteClientTest : public testing::Test
{
protected:
    void SetUp() override
    {
        char name[] = "/tmp/bh-rewrite-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder = name;
        auto listening = listen_unix(folder + "/rewrite", 10);
        ASSERT_TRUE(listening);
        socket = *std::move(listening);
        watch.emplace(socket.get(), [this] {
            UniqueFd caller(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (caller)
                scope.spawn(serve, this, std::move(caller));
        });
        watch->enable();
        client.emplace(folder + "/rewrite");
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    static Task<> serve(RewriteClientTest* self, UniqueFd fd)
    {
        Stream stream(std::move(fd));
        for (;;) {
            const auto request = co_await receive(stream);
            if (!request)
                co_return;
            ++self->questions;
            const auto asked = decode_resolve(*request);
            const Message answer =
                asked ? encode(Resolved{"there", "", asked->address, AddressClass::other}, self->by_rules)
                      : encode_rewritten("there");
            const auto sent = co_await send(stream, answer);
            if (!sent)
                co_return;
        }
    }

    void run(std::function<Task<>()> steps)
    {
        struct Run {
            static Task<> all(RewriteClientTest* self, std::function<Task<>()>* steps)
            {
                co_await (*steps)();
                self->client.reset(); // ends its connections
                co_await self->scope.empty();
                Loop::current().stop();
            }
        };
        Scope running;
        running.spawn(Run::all, this, &steps);
        if (running.size() > 0)
            Loop::current().run();
    }

    // The answer names this transport.
    Task<> expect(std::string transport, std::string address, bool probe = false)
    {
        const auto resolved = co_await client->resolve("s@x.test", std::move(address), probe);
        EXPECT_EQ(resolved ? resolved->transport : resolved.error().context, transport);
    }

    std::string folder;
    UniqueFd socket;
    std::optional<ReadWatch> watch;
    Scope scope;
    std::optional<RewriteClient> client;
    bool by_rules = false;
    int questions = 0;
};

// A burst of mail for many must not fill the memory: few answers are kept, the latest.
TEST_F(RewriteClientTest, TheLatestAnswersAreKept)
{
    run([this]() -> Task<> {
        constexpr int many = 1200;
        for (int i = 0; i < many; ++i)
            co_await expect("there", std::to_string(i) + "@x.test");
        EXPECT_EQ(questions, many);
        co_await expect("there", std::to_string(many - 1) + "@x.test");
        co_await expect("there", std::to_string(many - 250) + "@x.test");
        EXPECT_EQ(questions, many);
        co_await expect("there", "0@x.test"); // of long ago
        EXPECT_EQ(questions, many + 1);
    });
}

TEST_F(RewriteClientTest, RulesAnswerOnceTheServiceHasSaidThatItHasNothingElse)
{
    by_rules = true;
    client->know_rules(std::make_unique<Rules>());
    run([this]() -> Task<> {
        co_await expect("there", "a@x.test"); // may know better
        co_await expect("here", "b@x.test");
        co_await expect("here", "a@x.test");
        auto complete = co_await client->rewrite(RewriteContext::local, "user");
        EXPECT_EQ(complete ? *complete : complete.error().context, "user@here");
    });
    EXPECT_EQ(questions, 1);
}

TEST_F(RewriteClientTest, ProbesAreTheAffairOfTheService)
{
    by_rules = true;
    client->know_rules(std::make_unique<Rules>());
    run([this]() -> Task<> {
        co_await expect("there", "p@x.test", true);
        co_await expect("there", "a@x.test"); // an answer for a probe says nothing of mail
        co_await expect("here", "a@x.test");
        co_await expect("there", "q@x.test", true);
    });
    EXPECT_EQ(questions, 3);
}

TEST_F(RewriteClientTest, AServiceWithTablesIsAskedForEachAddress)
{
    client->know_rules(std::make_unique<Rules>());
    run([this]() -> Task<> {
        co_await expect("there", "a@x.test");
        co_await expect("there", "b@x.test");
        co_await expect("there", "b@x.test"); // the same again: kept
    });
    EXPECT_EQ(questions, 2);
}

TEST_F(RewriteClientTest, WithoutRulesOfItsOwnItAsksOn)
{
    by_rules = true;
    client->know_rules(nullptr);
    run([this]() -> Task<> {
        co_await expect("there", "a@x.test");
        co_await expect("there", "b@x.test");
    });
    EXPECT_EQ(questions, 2);
}

} // namespace
} // namespace bulkhead::ipc
