// co_await offload(f): runs f on a pool of threads and resumes on the loop with
// its result.  For calls that can block: files, fsync, rename.  Look-ups that ask
// another process have a pool of their own (table/ask.h): a server that hangs must
// not keep the disk waiting.  There is no other thread in a worker.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
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
    std::coroutine_handle<> waiter; // resumed on the loop; none: nobody waits

protected:
    ~PoolJob() = default;
};

// What the threads of a pool wait for: the disk, other processes' answers, or commands that
// deliver mail and may take their time.
enum class Pool { files, lookups, commands };

// Hands a job to a pool.  A pool starts its threads as jobs find the others busy, the first with its
// first job, so that they inherit the jail.  Jobs wait in their coroutines' frames: as many as there are
// sessions, and no memory of the pool's own.
void submit_to_pool(PoolJob& job, Pool pool);

// Threads of a pool at most; before its first job only.  Default 16: fsyncs wait, they
// do not compute, and many in flight share one journal commit; nor does a look-up.
void set_pool_size(Pool pool, std::size_t threads);

// A pool's jobs that run one after another: those that would only meet at the same lock of the
// file system.  While one runs, further ones wait in line and wake no thread, so that the
// busier a worker is, the less each job costs.
class Lane
{
public:
    Lane();
    void submit(PoolJob& job);

private:
    class Runner;
    std::shared_ptr<Runner> runner_; // lives on while its last job runs
};

template <typename Function> class [[nodiscard]] OffloadAwaiter final : public PoolJob
{
    using Value = std::invoke_result_t<Function&>;

public:
    // Without a pool: at once, on the loop.
    OffloadAwaiter(Function function, std::optional<Pool> pool, Lane* lane = nullptr)
        : function_(std::move(function)), pool_(pool), lane_(lane)
    {
    }

    bool await_ready() noexcept
    {
        if (!pool_)
            run();
        return !pool_;
    }
    void await_suspend(std::coroutine_handle<> handle)
    {
        waiter = handle;
        if (lane_ != nullptr)
            lane_->submit(*this);
        else
            submit_to_pool(*this, *pool_);
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
    std::optional<Pool> pool_;
    Lane* lane_;
    std::optional<std::conditional_t<std::is_void_v<Value>, bool, Value>> value_;
    std::exception_ptr failure_;
};

// f is named on the line before (STYLE: no lambda beside an await).  It is moved
// into the awaiter; what it refers to must live until the await is over.
template <typename Function> OffloadAwaiter<Function> offload(Function f)
{
    return OffloadAwaiter<Function>(std::move(f), Pool::files);
}

// The same on another pool.
template <typename Function> OffloadAwaiter<Function> run_on(Pool pool, Function f)
{
    return OffloadAwaiter<Function>(std::move(f), pool);
}
// In line with the other jobs of a lane; without one as above.
template <typename Function> OffloadAwaiter<Function> offload(Function f, Lane* lane)
{
    return OffloadAwaiter<Function>(std::move(f), Pool::files, lane);
}

} // namespace bulkhead
