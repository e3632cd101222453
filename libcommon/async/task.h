// Task<T>: a coroutine that runs when awaited, in the statement that made it.
// docs/writing-a-worker.md has the rules; tests/lint/awaits refuses the shapes
// that compilers get wrong.
#pragma once

#include "async/frame_pool.h"

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace bulkhead
{

template <typename T> struct TaskValue {
    std::optional<T> value;
    template <typename U> void return_value(U&& u) { value.emplace(std::forward<U>(u)); }
    T take() { return std::move(*value); }
};

template <> struct TaskValue<void> {
    void return_void() noexcept {}
    void take() noexcept {}
};

template <typename T = void>
class [[nodiscard("a Task runs only when awaited, in the statement that made it")]] Task
{
public:
    struct promise_type : TaskValue<T>, PooledFrame {
        std::coroutine_handle<> parent;
        std::exception_ptr failure;
        bool parent_is_waiting_inline = false;

        auto get_return_object() noexcept { return std::coroutine_handle<promise_type>::from_promise(*this); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        void unhandled_exception() noexcept { failure = std::current_exception(); }

        // A child that finished at once is noticed by its parent below; one that was
        // parked wakes its parent here.  Symmetric transfer is not used: without
        // guaranteed tail calls it overflows the stack at -O0 and under ASan.
        struct Finish {
            bool await_ready() noexcept { return false; }
            void await_suspend(std::coroutine_handle<promise_type> self) noexcept
            {
                auto& promise = self.promise();
                if (!promise.parent_is_waiting_inline && promise.parent)
                    promise.parent.resume();
            }
            void await_resume() noexcept {}
        };
        Finish final_suspend() noexcept { return {}; }
    };

    using Handle = std::coroutine_handle<promise_type>;

    Task(Handle handle) noexcept : handle_(handle) {}
    Task(Task&&) = delete;
    ~Task()
    {
        if (handle_)
            handle_.destroy();
    }

    auto operator co_await() && noexcept
    {
        struct Awaiter {
            Handle child;
            bool await_ready() noexcept { return false; }
            bool await_suspend(std::coroutine_handle<> parent) noexcept
            {
                auto& promise = child.promise();
                promise.parent = parent;
                promise.parent_is_waiting_inline = true;
                child.resume();
                if (child.done())
                    return false;
                promise.parent_is_waiting_inline = false;
                return true;
            }
            T await_resume()
            {
                auto& promise = child.promise();
                if (promise.failure)
                    std::rethrow_exception(promise.failure);
                return promise.take();
            }
        };
        return Awaiter{handle_};
    }

private:
    Handle handle_;
};

} // namespace bulkhead
