#include "table/ask.h"

#include "async/loop.h"
#include "async/scope.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace bulkhead
{
namespace
{

// Held closed by a test, as a server holds its answer back.
class Gate
{
public:
    void pass()
    {
        std::unique_lock lock(mutex_);
        opened_.wait(lock, [this] { return open_; });
    }
    void open()
    {
        const std::lock_guard lock(mutex_);
        open_ = true;
        opened_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool open_ = false;
};

void run(Task<> (*body)())
{
    Scope scope;
    const auto task = [](Task<> (*inner)()) -> Task<> {
        co_await inner();
        Loop::current().stop();
    };
    scope.spawn(task, body);
    if (scope.size() > 0)
        Loop::current().run();
}

Task<> answers_here()
{
    const auto where = [] { return std::this_thread::get_id(); };
    const auto thread = co_await ask(false, where);
    EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST(Ask, StaysOnTheLoopWhenNoTableBlocks)
{
    run(answers_here);
}

Task<> answers_elsewhere()
{
    const auto where = [] { return std::this_thread::get_id(); };
    const auto before = std::this_thread::get_id();
    const auto thread = co_await ask(true, where);
    EXPECT_NE(thread, before);
    EXPECT_EQ(before, std::this_thread::get_id());
}

TEST(Ask, LeavesTheLoopWhenATableMayBlock)
{
    run(answers_elsewhere);
}

Task<> hang(Gate* gate)
{
    const auto wait = [gate] { gate->pass(); };
    co_await ask(true, wait);
}

// Every look-up thread waits, and the disk does not.
Task<> disk_goes_on()
{
    constexpr int more_than_threads = 40;
    Gate gate;
    Scope scope;
    for (int i = 0; i < more_than_threads; ++i)
        scope.spawn(hang, &gate);
    const auto write = [] { return 7; };
    const int written = co_await offload(write);
    EXPECT_EQ(written, 7);
    EXPECT_EQ(scope.size(), static_cast<std::size_t>(more_than_threads));
    gate.open();
    co_await scope.empty();
}

TEST(Ask, HangingLookupsLeaveTheDiskAlone)
{
    run(disk_goes_on);
}

} // namespace
} // namespace bulkhead
