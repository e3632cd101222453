// A Scope owns the coroutines that it starts: sessions of a worker, deliveries
// of a message.  Nothing is detached: a scope is empty before it dies.
#pragma once

#include "async/frame_pool.h"
#include "async/task.h"
#include "async/wait.h"

#include "base/result.h"

#include <coroutine>
#include <cstddef>

namespace bulkhead
{

class Scope
{
public:
    Scope() = default;
    Scope(const Scope&) = delete;
    ~Scope() { ensure(size_ == 0, "a scope died with coroutines in it"); }

    // Starts function(arguments...) at once, up to its first wait.  Arguments are
    // moved into the coroutine's own frame; pointers and references must outlive
    // the scope.  An exception ends that coroutine with a log line, nothing else.
    template <typename Function, typename... Arguments> void spawn(Function function, Arguments... arguments)
    {
        ++size_;
        root(*this, std::move(function), std::move(arguments)...);
    }

    std::size_t size() const { return size_; }

    // Awaits until nothing runs in the scope any more.
    auto empty() { return WhenZero(size_, waiters_); }

private:
    struct Root {
        struct promise_type : PooledFrame {
            Root get_return_object() noexcept { return {}; }
            std::suspend_never initial_suspend() noexcept { return {}; }
            std::suspend_never final_suspend() noexcept { return {}; }
            void return_void() noexcept {}
            void unhandled_exception() noexcept;
        };
    };

    template <typename Function, typename... Arguments>
    static Root root(Scope& scope, Function function, Arguments... arguments)
    {
        try {
            co_await function(std::move(arguments)...);
        } catch (...) {
            report_exception();
        }
        scope.finished();
    }

    static void report_exception() noexcept;
    void finished();

    std::size_t size_ = 0;
    WaitList waiters_;
};

} // namespace bulkhead
