// The event loop of a process: readiness, timers, signals, and work posted for
// the next turn.  A thin layer over libevent, which nothing else includes.
#pragma once

#include "base/clock.h"

#include <functional>
#include <memory>

namespace bulkhead
{

class Loop
{
public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;

    // The loop of this process; made at the first call.
    static Loop& current();

    void run();  // until stop()
    void stop(); // run() returns after the current turn

    // Runs f in the next turn, before the loop sleeps.
    void post(std::move_only_function<void()> f);

    // Runs before each sleep: log flush, reports to the master.
    void on_idle(std::function<void()> f);

    // The event_base underneath, for libraries that bring their own events: dns only.
    void* native_handle();

    struct Detail;
    Detail& detail() { return *detail_; }

private:
    std::unique_ptr<Detail> detail_;
};

// One-shot timer.  Destroying it cancels it.
class Timer
{
public:
    explicit Timer(std::function<void()> fired);
    ~Timer();
    Timer(Timer&&) = delete;

    void start(Milliseconds after); // restarts when running
    void cancel();
    bool running() const { return running_; }

private:
    friend struct TimerCallback;
    void* event_ = nullptr;
    std::function<void()> fired_;
    bool running_ = false;
};

// Tells when a descriptor can be read (level-triggered): listening sockets and
// control channels.  Streams watch their own descriptors.
class ReadWatch
{
public:
    ReadWatch(int fd, std::function<void()> readable);
    ~ReadWatch();
    ReadWatch(ReadWatch&&) = delete;

    void enable();
    void disable();
    bool enabled() const { return enabled_; }

private:
    friend struct ReadWatchCallback;
    void* event_ = nullptr;
    std::function<void()> readable_;
    bool enabled_ = false;
};

class SignalWatch
{
public:
    SignalWatch(int signal, std::function<void()> caught);
    ~SignalWatch();
    SignalWatch(SignalWatch&&) = delete;

private:
    friend struct SignalWatchCallback;
    void* event_ = nullptr;
    std::function<void()> caught_;
};

} // namespace bulkhead
