#include "async/offload.h"

#include "async/loop_detail.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace bulkhead
{

namespace
{

struct Queue {
    PoolJob* first = nullptr;
    PoolJob* last = nullptr;

    void push(PoolJob& job)
    {
        job.next = nullptr;
        (last ? last->next : first) = &job;
        last = &job;
    }
    PoolJob* pop()
    {
        PoolJob* const job = first;
        first = job->next;
        if (!first)
            last = nullptr;
        return job;
    }
};

// A thread without work: it sleeps on its own signal, so that a job wakes one thread with
// one system call and nobody meets anybody at a lock.
struct Idle {
    std::atomic<std::uint32_t> called = 0;
    PoolJob* job = nullptr;
    Idle* next = nullptr;

    void wait()
    {
        while (called.load(std::memory_order_acquire) == 0)
            ::syscall(SYS_futex, &called, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
        called.store(0, std::memory_order_relaxed);
    }
    void call(PoolJob& with)
    {
        job = &with;
        called.store(1, std::memory_order_release);
        ::syscall(SYS_futex, &called, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
};

class Threads
{
public:
    explicit Threads(std::size_t limit) : limit_(limit), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))
    {
        ensure(static_cast<bool>(wake_), "eventfd failed");
        // Edge-triggered: each write is one call for the loop, and nobody needs to read.
        watch_ = event_new(
            loop_base(), wake_.get(), EV_READ | EV_ET | EV_PERSIST,
            [](evutil_socket_t, short, void* self) { static_cast<Threads*>(self)->resume_finished(); }, this);
        event_add(watch_, nullptr);
    }

    void submit(PoolJob& job)
    {
        Idle* thread = nullptr;
        bool all_busy = false;
        {
            const std::lock_guard lock(mutex_);
            thread = idle_;
            if (thread != nullptr)
                idle_ = thread->next; // the one that slept least: its caches are warm
            else
                todo_.push(job);
            all_busy = thread == nullptr && started_ < limit_;
            started_ += all_busy ? 1 : 0;
        }
        if (thread != nullptr)
            thread->call(job);
        else if (all_busy)
            start();
    }

private:
    // A thread more, for the job that found all busy: most workers never need many, and each costs
    // memory.  Where the user's limit of tasks is reached, one of those that there are will take it.
    void start()
    {
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the loop's thread
        try {
            std::thread([this] { work(); }).detach();
        } catch (const std::system_error&) {
            const std::lock_guard lock(mutex_);
            --started_;
            ensure(started_ > 0, "not one thread can be started: the limit of tasks is reached");
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    PoolJob& next_job(Idle& self)
    {
        {
            const std::lock_guard lock(mutex_);
            if (todo_.first != nullptr)
                return *todo_.pop();
            self.next = idle_;
            idle_ = &self;
        }
        self.wait();
        return *self.job;
    }

    void work()
    {
        Idle self;
        for (;;) {
            PoolJob& job = next_job(self);
            const bool is_awaited = static_cast<bool>(job.waiter);
            job.run(); // one that nobody awaits may be gone now
            if (is_awaited)
                finished(job);
        }
    }

public:
    // The loop is told of the first job that has finished since it looked last.
    void finished(PoolJob& job)
    {
        PoolJob* before = done_.load(std::memory_order_relaxed);
        do
            job.next = before;
        while (
            !done_.compare_exchange_weak(before, &job, std::memory_order_release, std::memory_order_relaxed));
        if (before != nullptr)
            return;
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);
    }

private:
    void resume_finished()
    {
        PoolJob* oldest = nullptr; // the list has the newest first
        for (PoolJob* job = done_.exchange(nullptr, std::memory_order_acquire); job != nullptr;)
            oldest = std::exchange(job, std::exchange(job->next, oldest));
        while (oldest != nullptr)
            std::exchange(oldest, oldest->next)->waiter.resume();
    }

    std::mutex mutex_;
    const std::size_t limit_;
    std::size_t started_ = 0;
    Queue todo_;
    Idle* idle_ = nullptr;
    std::atomic<PoolJob*> done_ = nullptr;
    UniqueFd wake_;
    event* watch_; // like all of this, as long as the process
};

constexpr std::size_t default_threads = 16;
std::array<std::size_t, 3> pool_sizes{default_threads, default_threads, default_threads}; // by Pool

// Never destroyed: their threads may still be in a system call when the process ends.
template <Pool which> Threads& threads_of()
{
    static Threads* const instance = new Threads(pool_sizes[static_cast<std::size_t>(which)]);
    return *instance;
}

} // namespace

class Lane::Runner final : public PoolJob, public std::enable_shared_from_this<Runner>
{
public:
    void add(PoolJob& job)
    {
        {
            const std::lock_guard lock(mutex_);
            todo_.push(job);
            if (self_)
                return;
            self_ = shared_from_this();
        }
        submit_to_pool(*this, Pool::files);
    }

private:
    void run() noexcept override
    {
        std::shared_ptr<Runner> last;
        for (;;) {
            PoolJob* job = nullptr;
            {
                const std::lock_guard lock(mutex_);
                if (todo_.first == nullptr) {
                    last = std::move(self_);
                    break;
                }
                job = todo_.pop();
            }
            job->run();
            threads_of<Pool::files>().finished(*job);
        }
    }

    std::mutex mutex_;
    Queue todo_;
    std::shared_ptr<Runner> self_; // while it runs
};

Lane::Lane() : runner_(std::make_shared<Runner>()) {}

void Lane::submit(PoolJob& job)
{
    runner_->add(job);
}

void submit_to_pool(PoolJob& job, Pool pool)
{
    switch (pool) {
    case Pool::files:
        return threads_of<Pool::files>().submit(job);
    case Pool::lookups:
        return threads_of<Pool::lookups>().submit(job);
    case Pool::commands:
        return threads_of<Pool::commands>().submit(job);
    }
}
void set_pool_size(Pool pool, std::size_t threads)
{
    pool_sizes[static_cast<std::size_t>(pool)] = threads;
}

} // namespace bulkhead
