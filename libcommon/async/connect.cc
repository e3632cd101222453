#include "async/connect.h"

#include "async/loop_detail.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

namespace bulkhead
{

void ask_for_window(int fd, int bytes)
{
    if (bytes <= 0)
        return;
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

struct ConnectCallback {
    static void call(evutil_socket_t, short what, void* self)
    {
        static_cast<ConnectAwaiter*>(self)->decided(what & EV_WRITE);
    }
};

ConnectAwaiter::~ConnectAwaiter()
{
    if (event_)
        event_free(static_cast<event*>(event_));
}

// True when nothing is left to wait for.
bool ConnectAwaiter::start()
{
    const auto failed = [this](Fault fault) {
        error_.emplace(fault, std::strerror(errno), errno);
        return true;
    };
    fd_.reset(::socket(to_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_)
        return failed(Fault::io);
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ask_for_window(fd_.get(), window_);
    if (from_) {
        const SocketAddress local = from_->with_port(0);
        if (::bind(fd_.get(), local.data(), local.size()) != 0)
            return failed(Fault::config);
    }
    if (::connect(fd_.get(), to_.data(), to_.size()) == 0)
        return true;
    return errno != EINPROGRESS && failed(Fault::io);
}

bool ConnectAwaiter::await_ready()
{
    return start();
}

void ConnectAwaiter::await_suspend(std::coroutine_handle<> handle)
{
    handle_ = handle;
    event_ = event_new(loop_base(), fd_.get(), EV_WRITE, ConnectCallback::call, this);
    const timeval tv = to_timeval(timeout_);
    event_add(static_cast<event*>(event_), timeout_ > Milliseconds(0) ? &tv : nullptr);
}

void ConnectAwaiter::decided(bool in_time)
{
    int number = 0;
    socklen_t size = sizeof number;
    if (!in_time)
        error_.emplace(Fault::timeout, std::strerror(ETIMEDOUT), ETIMEDOUT);
    else if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &number, &size) != 0 || number != 0)
        error_.emplace(Fault::io, std::strerror(number ? number : errno), number ? number : errno);
    handle_.resume(); // the awaiter is gone after this
}

Result<UniqueFd> ConnectAwaiter::await_resume()
{
    // The event must let go of the descriptor before somebody else watches or closes it.
    if (event_) {
        event_free(static_cast<event*>(event_));
        event_ = nullptr;
    }
    if (error_)
        return *error_;
    return std::move(fd_);
}

} // namespace bulkhead
