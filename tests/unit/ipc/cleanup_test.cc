#include "ipc/cleanup.h"

#include "async/loop.h"
#include "async/scope.h"
#include "async/wait.h"
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

// cleanup, which writes down what it is told, and names the id of the next message.
class CleanupStreamTest : public testing::Test
{
protected:
    void SetUp() override
    {
        char name[] = "/tmp/bh-cleanup-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder = name;
        auto listening = listen_unix(folder + "/cleanup", 10);
        ASSERT_TRUE(listening);
        socket = *std::move(listening);
        watch.emplace(socket.get(), [this] {
            UniqueFd caller(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (caller)
                scope.spawn(serve, this, std::move(caller));
        });
        watch->enable();
        service.emplace(folder + "/cleanup");
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    static Task<> serve(CleanupStreamTest* self, UniqueFd fd)
    {
        Stream stream(std::move(fd));
        ++self->clients;
        for (;;) {
            const auto request = co_await receive(stream);
            if (!request) {
                --self->clients;
                co_return;
            }
            Result<> sent;
            if (request->kind() == Kind::cleanup_open) {
                const unsigned flags = *decode_cleanup_open(*request);
                self->heard += flags & cleanup_flag::ahead ? "ahead " : "open ";
                const Message opened = encode_cleanup_opened("FIRST");
                if (!(flags & cleanup_flag::ahead))
                    sent = co_await send(stream, opened);
            } else if (request->kind() == Kind::cleanup_records) {
                self->heard += request->body() + " ";
            } else {
                self->heard += "finish ";
                CleanupResult result;
                result.next_id = self->next_id;
                const Message answer = encode(result);
                sent = co_await send(stream, answer);
            }
            if (!sent)
                co_return;
        }
    }

    // The id under which it went.
    Task<std::string> message(std::string records, unsigned flags = 0)
    {
        auto stream = co_await CleanupStream::open(*service, flags);
        if (!stream)
            co_return stream.error().context;
        stream->records() = std::move(records);
        const auto result = co_await stream->finish();
        co_return result ? stream->queue_id() : result.error().context;
    }

    void run(std::function<Task<>()> steps)
    {
        struct Run {
            static Task<> all(CleanupStreamTest* self, std::function<Task<>()>* steps)
            {
                co_await (*steps)();
                self->service.reset(); // ends its connections
                co_await self->scope.empty();
                Loop::current().stop();
            }
        };
        Scope running;
        running.spawn(Run::all, this, &steps);
        if (running.size() > 0)
            Loop::current().run();
    }

    std::string folder;
    UniqueFd socket;
    std::optional<ReadWatch> watch;
    Scope scope;
    std::optional<Service> service;
    std::string next_id;
    std::string heard;
    int clients = 0;
};

TEST_F(CleanupStreamTest, AsksForAnId)
{
    run([this]() -> Task<> {
        const std::string first = co_await message("a");
        const std::string second = co_await message("b");
        EXPECT_EQ(first + second, "FIRSTFIRST");
    });
    EXPECT_EQ(heard, "open a finish open b finish ");
}

TEST_F(CleanupStreamTest, TakesTheIdThatItWasGivenInAdvance)
{
    next_id = "NEXT";
    run([this]() -> Task<> {
        const std::string first = co_await message("a");
        const std::string second = co_await message("b");
        EXPECT_EQ(first, "FIRST");
        EXPECT_EQ(second, "NEXT");
    });
    EXPECT_EQ(heard, "open a finish ahead b finish ");
}

TEST_F(CleanupStreamTest, AMessageThatBringsMiltersAsksAllTheSame)
{
    next_id = "NEXT";
    run([this]() -> Task<> {
        const std::string first = co_await message("a");
        const std::string second = co_await message("b", cleanup_flag::client_milters);
        EXPECT_EQ(second, "FIRST");
    });
    EXPECT_EQ(heard, "open a finish open b finish ");
}

// Nothing was sent of it: the connection is closed, and with it what was promised there.
TEST_F(CleanupStreamTest, AMessageThatComesToNothingLeavesNoTrace)
{
    next_id = "NEXT";
    run([this]() -> Task<> {
        const std::string first = co_await message("a");
        {
            const auto dropped = co_await CleanupStream::open(*service, 0);
            EXPECT_EQ(dropped->queue_id(), "NEXT");
        }
        const std::string third = co_await message("c");
        EXPECT_EQ(third, "FIRST");
    });
    EXPECT_EQ(heard, "open a finish open c finish ");
}

// A worker that leaves waits for clients with an id: those that do not use it must go, however
// busy others of the same pool are.
TEST_F(CleanupStreamTest, AConnectionThatRestsIsClosedThoughOthersAreBusy)
{
    next_id = "NEXT";
    run([this]() -> Task<> {
        {
            auto one = co_await CleanupStream::open(*service, 0);
            const auto other = co_await message("b");
            const auto result = co_await one->finish();
            EXPECT_TRUE(result);
        }
        EXPECT_EQ(clients, 2);
        const SteadyTime end = SteadyClock::now() + Seconds(20);
        while (clients == 2 && SteadyClock::now() < end) {
            const auto busy = co_await message("c");
            co_await sleep_for(Milliseconds(500));
        }
        EXPECT_EQ(clients, 1);
    });
}

} // namespace
} // namespace bulkhead::ipc
