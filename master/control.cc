#include "control.h"

#include "os/files.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::size_t most_visitors = 16;
constexpr std::size_t request_limit = 1024;
constexpr int answer_limit = 1 << 20;
constexpr Seconds patience{5};

bool is_root(int fd)
{
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

} // namespace

Result<std::unique_ptr<ControlDoor>> ControlDoor::open(const std::string& path, Handler handler)
{
    TRY(UniqueFd fd, listen_unix(path, 16));
    if (::chmod(path.c_str(), 0600) != 0)
        return system_error("chmod " + path);
    return std::unique_ptr<ControlDoor>(new ControlDoor(std::move(fd), path, std::move(handler)));
}

ControlDoor::ControlDoor(UniqueFd fd, std::string path, Handler handler)
    : fd_(std::move(fd)), path_(std::move(path)), handler_(std::move(handler)),
      watch_(fd_.get(), [this] { visitor_comes(); }), alive_(std::make_shared<bool>(true))
{
    watch_.enable();
}

ControlDoor::~ControlDoor()
{
    *alive_ = false;
    ::unlink(path_.c_str());
}

void ControlDoor::visitor_comes()
{
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd || visitors_.size() >= most_visitors || !is_root(fd.get()))
        return;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &answer_limit, sizeof answer_limit);
    Visitor& visitor = visitors_.emplace_back(std::move(fd));
    visitor.watch =
        std::make_unique<ReadWatch>(visitor.fd.get(), [this, &visitor] { visitor_speaks(visitor); });
    visitor.watch->enable();
    visitor.patience = std::make_unique<Timer>([this, &visitor] { dismiss(visitor); });
    visitor.patience->start(patience);
}

void ControlDoor::visitor_speaks(Visitor& visitor)
{
    char block[request_limit];
    const ssize_t n = ::recv(visitor.fd.get(), block, sizeof block, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        visitor.input.append(block, static_cast<std::size_t>(n));
    const auto end = visitor.input.find('\n');
    if (end != std::string::npos)
        answer(visitor, std::string_view(visitor.input).substr(0, end));
    if (n <= 0 || end != std::string::npos || visitor.input.size() > request_limit)
        dismiss(visitor);
}

// In one write: the socket's buffer is as large as the largest answer.
void ControlDoor::answer(const Visitor& visitor, std::string_view request)
{
    std::string text = handler_(request);
    text.resize(std::min<std::size_t>(text.size(), answer_limit / 2));
    (void)::send(visitor.fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Not at once: the visitor's own callback may be on the stack.
void ControlDoor::dismiss(Visitor& visitor)
{
    visitor.watch->disable();
    visitor.patience->cancel();
    Loop::current().post([this, &visitor, alive = alive_] {
        if (*alive)
            visitors_.remove_if([&](const Visitor& other) { return &other == &visitor; });
    });
}

} // namespace bulkhead
