// co_await offload(f): runs f on the thread pool and resumes on the loop with
// its result.  For calls that can block: files, fsync, rename, tables on disk.
// There is no other thread in a worker.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace bulkhead
{

// A unit of work; lives in the awaiting coroutine's frame.
class PoolJob
{
public:
    virtual void run() noexcept = 0; // on a pool thread

    PoolJob* next = nullptr;
    std::coroutine_handle<> waiter;

protected:
    ~PoolJob() = default;
};

// Hands a job to the pool; the pool starts with the first job, so that its
// threads inherit the jail.
void submit_to_pool(PoolJob& job);

// Threads of the pool; before the first job only.  Default 16: fsyncs wait, they
// do not compute, and many in flight share one journal commit.
void set_pool_size(std::size_t threads);

template <typename Function> class [[nodiscard]] OffloadAwaiter final : public PoolJob
{
    using Value = std::invoke_result_t<Function&>;

public:
    explicit OffloadAwaiter(Function function) : function_(std::move(function)) {}

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle)
    {
        waiter = handle;
        submit_to_pool(*this);
    }
    Value await_resume()
    {
        if (failure_)
            std::rethrow_exception(failure_);
        if constexpr (!std::is_void_v<Value>)
            return std::move(*value_);
    }

    void run() noexcept override
    {
        try {
            if constexpr (std::is_void_v<Value>)
                function_();
            else
                value_.emplace(function_());
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

private:
    Function function_;
    std::optional<std::conditional_t<std::is_void_v<Value>, bool, Value>> value_;
    std::exception_ptr failure_;
};

// f is named on the line before (STYLE: no lambda beside an await).  It is moved
// into the awaiter; what it refers to must live until the await is over.
template <typename Function> OffloadAwaiter<Function> offload(Function f)
{
    return OffloadAwaiter<Function>(std::move(f));
}

} // namespace bulkhead
