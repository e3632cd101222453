#include "async/loop.h"
#include "async/offload.h"
#include "async/scope.h"
#include "async/task.h"
#include "async/wait.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead
{
namespace
{

Task<int> ready(int value)
{
    co_return value;
}

Task<int> sum_of_ready(int count)
{
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        const int one = co_await ready(1);
        sum += one;
    }
    co_return sum;
}

Task<> parked(int* counter)
{
    co_await yield_turn();
    ++*counter;
}

Task<int> chain(int depth)
{
    if (depth == 0) {
        co_await yield_turn();
        co_return 0;
    }
    const int below = co_await chain(depth - 1);
    co_return below + 1;
}

Task<> throw_before()
{
    throw std::runtime_error("before");
    co_return;
}

Task<> throw_after()
{
    co_await yield_turn();
    throw std::runtime_error("after");
}

// Runs one coroutine to its end on the loop.
template <typename Function, typename... Arguments> void run(Function function, Arguments... arguments)
{
    struct Whole {
        static Task<> call(Function f, Arguments... values)
        {
            co_await f(values...);
            Loop::current().stop();
        }
    };
    Scope scope;
    Loop::current().post([&] { scope.spawn(Whole::call, function, arguments...); });
    Loop::current().run();
}

TEST(Task, AMillionReadyAwaitsUseConstantStack)
{
    int result = 0;
    struct Body {
        static Task<> call(int* out) { *out = co_await sum_of_ready(1'000'000); }
    };
    run(Body::call, &result);
    EXPECT_EQ(result, 1'000'000);
}

TEST(Task, ParkedAwaitsComeBack)
{
    int counter = 0;
    struct Body {
        static Task<> call(int* c)
        {
            for (int i = 0; i < 100'000; ++i)
                co_await parked(c);
        }
    };
    run(Body::call, &counter);
    EXPECT_EQ(counter, 100'000);
}

TEST(Task, ADeepChainUnwinds)
{
    int depth = 0;
    struct Body {
        static Task<> call(int* out) { *out = co_await chain(1000); }
    };
    run(Body::call, &depth);
    EXPECT_EQ(depth, 1000);
}

TEST(Task, ExceptionsReachTheAwaiter)
{
    std::vector<std::string> caught;
    struct Body {
        static Task<> call(std::vector<std::string>* out)
        {
            try {
                co_await throw_before();
            } catch (const std::exception& e) {
                out->push_back(e.what());
            }
            try {
                co_await throw_after();
            } catch (const std::exception& e) {
                out->push_back(e.what());
            }
        }
    };
    run(Body::call, &caught);
    EXPECT_EQ(caught, (std::vector<std::string>{"before", "after"}));
}

TEST(Offload, RunsOnAnotherThreadAndComesBack)
{
    std::vector<bool> same;
    struct Body {
        static Task<> call(std::vector<bool>* out)
        {
            const auto loop_thread = std::this_thread::get_id();
            for (int i = 0; i < 1000; ++i) {
                const auto job = [] { return std::this_thread::get_id(); };
                const auto pool_thread = co_await offload(job);
                out->push_back(pool_thread == loop_thread);
            }
            out->push_back(std::this_thread::get_id() != loop_thread);
        }
    };
    run(Body::call, &same);
    EXPECT_EQ(std::count(same.begin(), same.end(), true), 0);
}

// Several at once: none overtakes another, none runs beside another.
TEST(Offload, ALaneRunsItsJobsInTheirOrder)
{
    struct Body {
        static Task<> one(Lane* lane, std::atomic<int>* running, std::vector<int>* order, int number)
        {
            const auto job = [=] {
                EXPECT_EQ(running->fetch_add(1), 0);
                order->push_back(number); // nobody else is here
                running->fetch_sub(1);
                return number;
            };
            const auto answer = co_await offload(job, lane);
            EXPECT_EQ(answer, number);
        }
        static Task<> call(std::vector<int>* order)
        {
            Lane lane;
            std::atomic<int> running = 0;
            for (int round = 0; round < 50; ++round) {
                Scope scope;
                for (int i = 0; i < 20; ++i)
                    scope.spawn(one, &lane, &running, order, round * 20 + i);
                co_await scope.empty();
            }
        }
    };
    std::vector<int> order;
    run(Body::call, &order);
    ASSERT_EQ(order.size(), 1000u);
    EXPECT_TRUE(std::ranges::is_sorted(order));
}

// Nobody else uses this pool here: its threads can be counted.
TEST(Offload, AsManyThreadsStartAsJobsRunAtOnce)
{
    struct Body {
        static std::ptrdiff_t threads()
        {
            const std::filesystem::directory_iterator all("/proc/self/task");
            return std::distance(begin(all), end(all));
        }
        static Task<> meet(std::barrier<>* all)
        {
            const auto job = [=] { all->arrive_and_wait(); };
            co_await run_on(Pool::commands, job);
        }
        static Task<> call(std::ptrdiff_t* more)
        {
            const std::ptrdiff_t before = threads();
            std::barrier<> all(3);
            Scope scope;
            for (int i = 0; i < 3; ++i)
                scope.spawn(meet, &all);
            co_await scope.empty();
            *more = threads() - before;
        }
    };
    std::ptrdiff_t more = 0;
    run(Body::call, &more);
    EXPECT_EQ(more, 3);
}

TEST(Condition, TellsATimeoutFromANotification)
{
    std::vector<bool> notified;
    struct Body {
        static Task<> notify_later(Condition* condition)
        {
            co_await sleep_for(Milliseconds(5));
            condition->notify_one();
        }
        static Task<> call(std::vector<bool>* out)
        {
            Condition condition;
            Scope scope;
            const bool by_time = co_await condition.wait_for(Milliseconds(1));
            out->push_back(by_time);
            scope.spawn(notify_later, &condition);
            const bool by_signal = co_await condition.wait_for(Milliseconds(5000));
            out->push_back(by_signal);
            co_await scope.empty();
        }
    };
    run(Body::call, &notified);
    EXPECT_EQ(notified, (std::vector<bool>{false, true}));
}

TEST(Semaphore, NeverLetsMoreInThanItHasPermits)
{
    struct State {
        Semaphore semaphore{3};
        int inside = 0;
        int most = 0;
        int done = 0;
    };
    struct Body {
        static Task<> visitor(State* state)
        {
            const auto permit = co_await state->semaphore.acquire();
            state->most = std::max(state->most, ++state->inside);
            co_await yield_turn();
            --state->inside;
            ++state->done;
        }
        static Task<> call(State* state)
        {
            Scope scope;
            for (int i = 0; i < 50; ++i)
                scope.spawn(visitor, state);
            co_await scope.empty();
        }
    };
    State state;
    run(Body::call, &state);
    EXPECT_EQ(state.most, 3);
    EXPECT_EQ(state.done, 50);
}

} // namespace
} // namespace bulkhead
