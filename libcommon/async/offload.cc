#include "async/offload.h"

#include "async/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

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

class Threads
{
public:
    explicit Threads(std::size_t threads)
        : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), watch_(wake_.get(), [this] { resume_finished(); })
    {
        ensure(static_cast<bool>(wake_), "eventfd failed");
        watch_.enable();
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the loop's thread
        for (std::size_t i = 0; i < threads; ++i)
            std::thread([this] { work(); }).detach();
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void submit(PoolJob& job)
    {
        {
            const std::lock_guard lock(mutex_);
            todo_.push(job);
        }
        ready_.notify_one();
    }

private:
    void work()
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            ready_.wait(lock, [this] { return todo_.first != nullptr; });
            PoolJob* const job = todo_.pop();
            lock.unlock();
            job->run();
            lock.lock();
            const bool first = done_.first == nullptr;
            done_.push(*job);
            if (first) {
                const std::uint64_t one = 1;
                (void)!::write(wake_.get(), &one, sizeof one);
            }
        }
    }

    void resume_finished()
    {
        std::uint64_t count = 0;
        (void)!::read(wake_.get(), &count, sizeof count);
        Queue done;
        {
            const std::lock_guard lock(mutex_);
            std::swap(done, done_);
        }
        while (done.first)
            done.pop()->waiter.resume();
    }

    std::mutex mutex_;
    std::condition_variable ready_;
    Queue todo_;
    Queue done_;
    UniqueFd wake_;
    ReadWatch watch_;
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
