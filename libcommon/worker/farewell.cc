#include "worker/farewell.h"

#include <sys/socket.h>

#include <cerrno>

namespace bulkhead
{

namespace
{

constexpr std::size_t most_leaving = 16; // within the worker's spare descriptors
constexpr Milliseconds patience{2000};
constexpr int reads_at_once = 16;

// Takes what the peer has sent.  False: there will be no more.
bool drain(int fd)
{
    char dropped[4096];
    for (int i = 0; i < reads_at_once; ++i) {
        const ssize_t n = ::recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
    }
    return true;
}

void send_last(int fd, std::string_view text)
{
    if (!text.empty())
        (void)::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ::shutdown(fd, SHUT_WR);
}

} // namespace

Farewells::Farewells() : timer_([this] { time_over(); }) {}

void Farewells::say(UniqueFd client, std::string_view text)
{
    if (!client)
        return;
    send_last(client.get(), text);
    if (!drain(client.get()))
        return;
    if (leaving_.size() >= most_leaving)
        leaving_.pop_front();
    const auto one = leaving_.emplace(leaving_.end());
    one->fd = std::move(client);
    one->until = SteadyClock::now() + patience;
    one->watch = std::make_unique<ReadWatch>(one->fd.get(), [this, one] { hear(one); });
    one->watch->enable();
    if (!timer_.running())
        timer_.start(patience);
}

void Farewells::say_and_close(UniqueFd client, std::string_view text)
{
    send_last(client.get(), text);
    (void)drain(client.get());
}

void Farewells::hear(std::list<Leaving>::iterator one)
{
    if (drain(one->fd.get()))
        return;
    // Not from inside of its own watch.
    Loop::current().post([gone = std::make_shared<Leaving>(std::move(*one))] { gone->watch.reset(); });
    leaving_.erase(one);
}

void Farewells::time_over()
{
    const SteadyTime now = SteadyClock::now();
    while (!leaving_.empty() && leaving_.front().until <= now)
        leaving_.pop_front();
    if (!leaving_.empty())
        timer_.start(patience);
}

} // namespace bulkhead
