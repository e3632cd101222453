#include "ipc/master_link.h"

#include <sys/socket.h>

#include <cerrno>

namespace bulkhead::ipc
{

bool send_report(int fd, const WorkerReport& report)
{
    return ::send(fd, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof report;
}

bool send_order(int fd, MasterOrder order)
{
    return ::send(fd, &order, sizeof order, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof order;
}

LinkEvent receive_report(int fd, WorkerReport& report)
{
    for (;;) {
        WorkerReport received;
        const ssize_t n = ::recv(fd, &received, sizeof received, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return LinkEvent::closed;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LinkEvent::none;
        // A worker that was taken over may send anything: what is not a report of this
        // version in a known state is passed over.
        if (n != sizeof received || received.version != WorkerReport::current_version ||
            received.state > WorkerState::leaving)
            continue;
        report = received;
        return LinkEvent::message;
    }
}

LinkEvent receive_order(int fd, MasterOrder& order)
{
    for (;;) {
        const ssize_t n = ::recv(fd, &order, sizeof order, MSG_DONTWAIT);
        if (n == 0)
            return LinkEvent::closed;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? LinkEvent::none : LinkEvent::closed;
        return LinkEvent::message;
    }
}

} // namespace bulkhead::ipc
