#include "async/loop_detail.h"

#include "base/result.h"

namespace bulkhead
{

Loop::Loop() : detail_(std::make_unique<Detail>())
{
    event_config* config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    detail_->base = event_base_new_with_config(config);
    event_config_free(config);
    ensure(detail_->base != nullptr, "libevent gives no event base");
}

Loop::~Loop()
{
    event_base_free(detail_->base);
}

Loop& Loop::current()
{
    static Loop loop;
    return loop;
}

void Loop::run()
{
    Detail& self = *detail_;
    self.stopping = false;
    while (!self.stopping) {
        // What a turn posts runs before the next sleep, in rounds, so that posted
        // work that posts again cannot keep the sockets waiting.
        auto round = std::exchange(self.posted, {});
        for (auto& f : round)
            f();
        if (self.stopping)
            break;
        for (auto& f : self.before_sleep)
            f();
        event_base_loop(self.base,
                        EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | (self.posted.empty() ? 0 : EVLOOP_NONBLOCK));
    }
}

void Loop::stop()
{
    detail_->stopping = true;
    event_base_loopbreak(detail_->base);
}

void Loop::post(std::move_only_function<void()> f)
{
    detail_->posted.push_back(std::move(f));
}
void Loop::on_idle(std::function<void()> f)
{
    detail_->before_sleep.push_back(std::move(f));
}
void* Loop::native_handle()
{
    return detail_->base;
}

struct TimerCallback {
    static void call(evutil_socket_t, short, void* self)
    {
        auto& timer = *static_cast<Timer*>(self);
        timer.running_ = false;
        timer.fired_();
    }
};

Timer::Timer(std::function<void()> fired) : fired_(std::move(fired))
{
    event_ = event_new(loop_base(), -1, 0, TimerCallback::call, this);
}

Timer::~Timer()
{
    event_free(static_cast<event*>(event_));
}

void Timer::start(Milliseconds after)
{
    const timeval tv = to_timeval(after);
    event_add(static_cast<event*>(event_), &tv);
    running_ = true;
}

void Timer::cancel()
{
    event_del(static_cast<event*>(event_));
    running_ = false;
}

struct ReadWatchCallback {
    static void call(evutil_socket_t, short, void* self) { static_cast<ReadWatch*>(self)->readable_(); }
};

ReadWatch::ReadWatch(int fd, std::function<void()> readable) : readable_(std::move(readable))
{
    event_ = event_new(loop_base(), fd, EV_READ | EV_PERSIST, ReadWatchCallback::call, this);
}

ReadWatch::~ReadWatch()
{
    event_free(static_cast<event*>(event_));
}

void ReadWatch::enable()
{
    if (!enabled_)
        event_add(static_cast<event*>(event_), nullptr);
    enabled_ = true;
}

void ReadWatch::disable()
{
    if (enabled_)
        event_del(static_cast<event*>(event_));
    enabled_ = false;
}

struct SignalWatchCallback {
    static void call(evutil_socket_t, short, void* self) { static_cast<SignalWatch*>(self)->caught_(); }
};

SignalWatch::SignalWatch(int signal, std::function<void()> caught) : caught_(std::move(caught))
{
    event_ = evsignal_new(loop_base(), signal, SignalWatchCallback::call, this);
    event_add(static_cast<event*>(event_), nullptr);
}

SignalWatch::~SignalWatch()
{
    event_free(static_cast<event*>(event_));
}

} // namespace bulkhead
