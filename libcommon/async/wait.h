// Things a coroutine waits for that are not a socket: a time, a count, a turn.
// All leaf operations are awaiter objects, not coroutines: no frame, no heap.
#pragma once

#include "async/loop.h"

#include <coroutine>
#include <cstddef>

namespace bulkhead
{

// Coroutines parked on one condition, oldest first; each is resumed from the
// loop, never from inside the caller that made the condition true.
class WaitList
{
public:
    struct Node {
        std::coroutine_handle<> handle;
        Node* next = nullptr;
        Node* previous = nullptr;
        bool queued = false;
    };

    void push(Node& node);
    void remove(Node& node);
    Node* pop();
    bool empty() const { return first_ == nullptr; }

    void wake_one();
    void wake_all();

private:
    Node* first_ = nullptr;
    Node* last_ = nullptr;
};

// Resumes the handle from the loop's next turn.
void resume_later(std::coroutine_handle<> handle);

// co_await sleep_for(Milliseconds(200));
class SleepAwaiter
{
public:
    explicit SleepAwaiter(Milliseconds time) : timer_([this] { handle_.resume(); }), time_(time) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle)
    {
        handle_ = handle;
        timer_.start(time_);
    }
    void await_resume() const noexcept {}

private:
    Timer timer_;
    Milliseconds time_;
    std::coroutine_handle<> handle_;
};
inline SleepAwaiter sleep_for(Milliseconds time)
{
    return SleepAwaiter(time);
}

// co_await yield_turn(); lets other events run first.
class YieldAwaiter
{
public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { resume_later(handle); }
    void await_resume() const noexcept {}
};
inline YieldAwaiter yield_turn()
{
    return YieldAwaiter();
}

// Ready when the counter is zero; its owner calls wake_all() on the list then.
class WhenZero
{
public:
    WhenZero(const std::size_t& count, WaitList& list) : count_(count), list_(list) {}
    bool await_ready() const noexcept { return count_ == 0; }
    void await_suspend(std::coroutine_handle<> handle)
    {
        node_.handle = handle;
        list_.push(node_);
    }
    void await_resume() const noexcept {}

private:
    const std::size_t& count_;
    WaitList& list_;
    WaitList::Node node_;
};

// A signal from one coroutine to others: notify_one() or notify_all() wakes those
// that wait; wait_for() answers false when the time passed first.  A signal that
// nobody waits for is forgotten: test the condition before waiting.
class Condition
{
public:
    class Awaiter
    {
    public:
        Awaiter(Condition& condition, Milliseconds timeout)
            : condition_(condition), timer_([this] { expire(); }), timeout_(timeout)
        {
        }
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle);
        bool await_resume() const noexcept { return !expired_; }

    private:
        void expire();
        Condition& condition_;
        Timer timer_;
        Milliseconds timeout_;
        WaitList::Node node_;
        bool expired_ = false;
    };

    // Zero or less waits without limit.
    Awaiter wait_for(Milliseconds timeout) { return Awaiter(*this, timeout); }
    Awaiter wait() { return Awaiter(*this, Milliseconds(0)); }

    void notify_one() { list_.wake_one(); }
    void notify_all() { list_.wake_all(); }
    bool has_waiters() const { return !list_.empty(); }

private:
    WaitList list_;
};

// At most `permits` holders at once; the others wait their turn.
class Semaphore
{
public:
    explicit Semaphore(std::size_t permits) : free_(permits) {}

    class Permit
    {
    public:
        explicit Permit(Semaphore* owner) : owner_(owner) {}
        Permit(Permit&& other) noexcept : owner_(other.owner_) { other.owner_ = nullptr; }
        Permit& operator=(Permit&&) = delete;
        ~Permit()
        {
            if (owner_)
                owner_->release();
        }

    private:
        Semaphore* owner_;
    };

    class Awaiter
    {
    public:
        explicit Awaiter(Semaphore& semaphore) : semaphore_(semaphore) {}
        bool await_ready() const noexcept
        {
            if (semaphore_.free_ == 0)
                return false;
            --semaphore_.free_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> handle)
        {
            node_.handle = handle;
            semaphore_.waiters_.push(node_);
        }
        Permit await_resume() const noexcept { return Permit(&semaphore_); }

    private:
        Semaphore& semaphore_;
        WaitList::Node node_;
    };
    Awaiter acquire() { return Awaiter(*this); }

private:
    void release()
    {
        if (waiters_.empty())
            ++free_;
        else
            waiters_.wake_one(); // the permit passes on
    }
    std::size_t free_;
    WaitList waiters_;
};

} // namespace bulkhead
