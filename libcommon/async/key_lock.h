// One coroutine at a time for each key (a queue id, a mailbox); the others wait
// their turn in the order of asking.  Within one process: what other processes do
// is the business of file locks.
#pragma once

#include "async/wait.h"

#include <string>
#include <unordered_map>
#include <utility>

namespace bulkhead
{

class KeyLock
{
public:
    // Frees the key when it goes.
    class Hold
    {
    public:
        Hold(KeyLock* owner, std::string key) : owner_(owner), key_(std::move(key)) {}
        Hold(Hold&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_))
        {
        }
        Hold& operator=(Hold&&) = delete;
        ~Hold()
        {
            if (owner_)
                owner_->release(key_);
        }

    private:
        KeyLock* owner_;
        std::string key_;
    };

    class Awaiter
    {
    public:
        Awaiter(KeyLock& lock, std::string key) : lock_(lock), key_(std::move(key)) {}
        bool await_ready() { return lock_.held_.try_emplace(key_).second; }
        void await_suspend(std::coroutine_handle<> handle)
        {
            node_.handle = handle;
            lock_.held_[key_].push(node_);
        }
        Hold await_resume() { return Hold(&lock_, std::move(key_)); }

    private:
        KeyLock& lock_;
        std::string key_;
        WaitList::Node node_;
    };

    // const auto hold = co_await lock.acquire(key);
    Awaiter acquire(std::string key) { return Awaiter(*this, std::move(key)); }

private:
    void release(const std::string& key)
    {
        const auto held = held_.find(key);
        if (held->second.empty())
            held_.erase(held);
        else
            held->second.wake_one(); // the key passes on
    }

    std::unordered_map<std::string, WaitList> held_; // and who waits for it
};

} // namespace bulkhead
