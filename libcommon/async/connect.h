// co_await connect_inet(...): a TCP connection that is being made costs one
// descriptor and one event, whatever the peer does.
#pragma once

#include "async/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <coroutine>
#include <optional>

namespace bulkhead
{

// tcp_windowsize, for routers that break the scaling of windows: buffers of so many bytes.  Must be
// called before connect() or listen(), for the scale is agreed on when a connection begins; what is
// accepted inherits them.  Zero: the kernel's choice, which grows with the connection.
void ask_for_window(int fd, int bytes);

// Leaf awaiter of connect_inet().
class [[nodiscard]] ConnectAwaiter
{
public:
    ConnectAwaiter(const SocketAddress& to, const std::optional<SocketAddress>& from, Milliseconds timeout,
                   int window)
        : to_(to), from_(from), timeout_(timeout), window_(window)
    {
    }
    ~ConnectAwaiter();
    ConnectAwaiter(const ConnectAwaiter&) = delete;

    bool await_ready(); // true when it is decided at once, well or not
    void await_suspend(std::coroutine_handle<> handle);
    Result<UniqueFd> await_resume();

private:
    friend struct ConnectCallback;
    bool start();
    void decided(bool in_time);

    SocketAddress to_;
    std::optional<SocketAddress> from_;
    Milliseconds timeout_;
    int window_;
    UniqueFd fd_;
    std::optional<Error> error_;
    void* event_ = nullptr;
    std::coroutine_handle<> handle_;
};

// A connected, non-blocking socket with TCP_NODELAY.  `from` is the local address
// (its port is ignored); zero timeout: as long as the kernel tries; window: see ask_for_window().
// Errors:
// Fault::timeout, Fault::config when the local address cannot be had, Fault::io;
// the context is the bare reason ("Connection refused"), as log lines have it.
inline ConnectAwaiter connect_inet(const SocketAddress& to, const std::optional<SocketAddress>& from,
                                   Milliseconds timeout, int window = 0)
{
    return {to, from, timeout, window};
}

} // namespace bulkhead
