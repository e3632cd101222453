#include "async/stream.h"

#include "async/loop_detail.h"
#include "async/transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_free_blocks = 16;
constexpr std::size_t max_need = 1 << 20;
constexpr std::size_t max_seen = 18 * 1024; // bytes of see()

std::vector<std::unique_ptr<char[]>>& free_blocks()
{
    static std::vector<std::unique_ptr<char[]>> blocks;
    return blocks;
}

std::vector<std::string>& free_outputs()
{
    static std::vector<std::string> outputs;
    return outputs;
}

// It has no memory that another stream could use.
bool is_small(const std::string& text)
{
    return text.capacity() <= std::string().capacity();
}

std::unique_ptr<char[]> take_block()
{
    auto& blocks = free_blocks();
    if (blocks.empty())
        return std::make_unique_for_overwrite<char[]>(Stream::block_size);
    auto block = std::move(blocks.back());
    blocks.pop_back();
    return block;
}

} // namespace

// Descriptors between two processes (unix(7), SCM_RIGHTS).
struct PassedDescriptors {
    static constexpr std::size_t max_at_once = 64;

    std::vector<int> to_send;
    std::size_t limit = 0;
    std::vector<UniqueFd> taken;

    // A read ends where descriptors were attached: a short one does not mean that there is no more.
    ssize_t receive(int socket, char* room, std::size_t size)
    {
        iovec target{room, size};
        alignas(cmsghdr) char control[CMSG_SPACE(max_at_once * sizeof(int))];
        msghdr message{};
        message.msg_iov = &target;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        for (cmsghdr* one = n >= 0 ? CMSG_FIRSTHDR(&message) : nullptr; one;
             one = CMSG_NXTHDR(&message, one)) {
            if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS)
                continue;
            const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof fd);
                UniqueFd owned(fd);
                if (taken.size() < limit)
                    taken.push_back(std::move(owned));
            }
        }
        return n;
    }

    ssize_t send(int socket, std::string_view bytes)
    {
        iovec source{const_cast<char*>(bytes.data()), bytes.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(max_at_once * sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &source;
        message.msg_iovlen = 1;
        if (!to_send.empty()) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(to_send.size() * sizeof(int));
            cmsghdr* rights = CMSG_FIRSTHDR(&message);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(to_send.size() * sizeof(int));
            std::memcpy(CMSG_DATA(rights), to_send.data(), to_send.size() * sizeof(int));
        }
        const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
        if (n > 0)
            to_send.clear();
        return n;
    }
};

struct StreamCallback {
    static void ready(evutil_socket_t, short what, void* self)
    {
        static_cast<Stream*>(self)->ready(what & EV_READ, what & EV_WRITE, what & EV_CLOSED);
    }
    static void timer(evutil_socket_t, short, void* self) { static_cast<Stream*>(self)->timer_fired(); }
};

Stream::Stream(UniqueFd fd) : fd_(std::move(fd)) {}

Stream::~Stream()
{
    if (transport_ && !cancelled_)
        transport_->close();
    for (void* const one : {event_, write_event_})
        if (one)
            event_free(static_cast<event*>(one));
    if (timer_event_)
        event_free(static_cast<event*>(timer_event_));
    if (hides_output_)
        wipe_output();
    release_input();
}

void Stream::release_input()
{
    begin_ = end_ = 0;
    if (in_ && capacity_ == block_size && free_blocks().size() < max_free_blocks)
        free_blocks().push_back(std::move(in_));
    in_.reset();
    capacity_ = 0;
}

void Stream::rest()
{
    if (begin_ == end_ && hold_ == 0)
        release_input();
}

void Stream::take_output()
{
    has_output_ = true;
    auto& outputs = free_outputs();
    if (outputs.empty() || !out_.empty())
        return;
    out_ = std::move(outputs.back());
    outputs.pop_back();
}

void Stream::wipe_output()
{
    out_.resize(out_.capacity());
    ::explicit_bzero(out_.data(), out_.size());
}

// What a stream that waits does not need is another's.
void Stream::release_output()
{
    if (hides_output_)
        wipe_output();
    sent_ = 0;
    out_.clear();
    has_output_ = false;
    if (!is_small(out_) && out_.capacity() <= block_size && free_outputs().size() < max_free_blocks)
        free_outputs().push_back(std::move(out_));
    out_ = std::string();
}

void Stream::reserve_input(std::size_t bytes)
{
    if (!in_) {
        capacity_ = std::max(bytes, block_size);
        in_ = capacity_ == block_size ? take_block() : std::make_unique_for_overwrite<char[]>(capacity_);
        return;
    }
    if (capacity_ - begin_ >= bytes && capacity_ > end_)
        return;
    if (capacity_ < bytes || (begin_ == 0 && end_ == capacity_)) {
        const std::size_t wanted = std::max(bytes, capacity_ * 2);
        auto bigger = std::make_unique_for_overwrite<char[]>(wanted);
        std::memcpy(bigger.get(), in_.get() + begin_, end_ - begin_);
        in_ = std::move(bigger);
        capacity_ = wanted;
    } else {
        std::memmove(in_.get(), in_.get() + begin_, end_ - begin_);
    }
    end_ -= begin_;
    begin_ = 0;
}

void Stream::consume(std::size_t bytes)
{
    begin_ += std::min(bytes, end_ - begin_);
    if (begin_ == end_)
        begin_ = end_ = 0; // the block goes back when the stream next waits
}

void Stream::give_back(std::string_view bytes)
{
    ensure(begin_ == end_ && !transport_, "bytes are given back to a fresh stream");
    if (bytes.empty())
        return;
    reserve_input(bytes.size());
    std::memcpy(in_.get(), bytes.data(), bytes.size());
    begin_ = 0;
    end_ = bytes.size();
}

void Stream::let_go()
{
    ensure(!waiter_, "a stream is let go between two operations");
    if (event_)
        event_free(static_cast<event*>(event_));
    event_ = nullptr;
    cancelled_ = true;
    release_input();
    fd_.reset();
}

void Stream::wipe_input()
{
    if (in_)
        ::explicit_bzero(in_.get(), capacity_);
    hold_ = begin_ = end_ = 0;
}

void Stream::drop_line()
{
    consume(hold_);
    hold_ = 0;
}

void Stream::discard_input()
{
    hold_ = 0;
    consume(end_ - begin_);
}

std::size_t Stream::peek(std::span<char> room) const
{
    const ssize_t n = ::recv(fd_.get(), room.data(), room.size(), MSG_PEEK);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
}

Result<> Stream::drop_peeked(std::size_t bytes)
{
    char room[max_seen];
    while (bytes > 0) {
        const ssize_t n = ::recv(fd_.get(), room, std::min(bytes, max_seen), 0);
        if (n <= 0)
            return Error(Fault::closed, "the peeked bytes are gone");
        bytes -= static_cast<std::size_t>(n);
    }
    return {};
}

Stream::Io Stream::read_more()
{
    reserve_input(end_ - begin_ + 1);
    const std::size_t room = capacity_ - end_;
    if (transport_)
        return read_upgraded(room);
    const ssize_t n = passed_ ? passed_->receive(fd_.get(), in_.get() + end_, room)
                              : ::recv(fd_.get(), in_.get() + end_, room, 0);
    if (n > 0) {
        end_ += static_cast<std::size_t>(n);
        bytes_read_ += static_cast<std::uint64_t>(n);
        // A short read has emptied the socket; the end of the stream is announced by
        // EV_CLOSED, so nothing hides behind it.
        if (static_cast<std::size_t>(n) < room && !peer_closed_ && event_ && !passed_)
            readable_ = false;
        return Io::progress;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        readable_ = errno == EINTR;
        return readable_ ? Io::progress : Io::blocked;
    }
    peer_closed_ = true;
    error_ = n < 0 ? errno : 0;
    return Io::ended;
}

// readable_ stays true until the socket is found empty: bytes may wait in the transport.
Stream::Io Stream::read_upgraded(std::size_t room)
{
    std::size_t got = 0;
    switch (transport_->read({in_.get() + end_, room}, got)) {
    case Transport::Step::done:
        end_ += got;
        bytes_read_ += got;
        return Io::progress;
    case Transport::Step::wants_input:
        readable_ = false;
        return Io::blocked;
    case Transport::Step::wants_output:
        writable_ = false;
        return Io::blocked;
    case Transport::Step::ended:
    case Transport::Step::failed:
        break;
    }
    peer_closed_ = true;
    error_ = 0;
    return Io::ended;
}

Stream::Io Stream::write_upgraded()
{
    std::size_t taken = 0;
    switch (transport_->write(std::string_view(out_).substr(sent_), taken)) {
    case Transport::Step::done:
        sent_ += taken;
        return Io::progress;
    case Transport::Step::wants_input:
        readable_ = false;
        return Io::blocked;
    case Transport::Step::wants_output:
        writable_ = false;
        return Io::blocked;
    case Transport::Step::ended:
    case Transport::Step::failed:
        break;
    }
    peer_closed_ = true;
    error_ = 0;
    return Io::ended;
}

Stream::Io Stream::write_some()
{
    if (transport_)
        return write_upgraded();
    const std::string_view rest = std::string_view(out_).substr(sent_);
    const ssize_t n =
        passed_ ? passed_->send(fd_.get(), rest) : ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
        return Io::progress;
    if (n < 0 && errno == EAGAIN) {
        writable_ = false;
        return Io::blocked;
    }
    if (n < 0) {
        peer_closed_ = true;
        error_ = errno;
        return Io::ended;
    }
    sent_ += static_cast<std::size_t>(n);
    return Io::progress;
}

Stream::Io Stream::write_more()
{
    while (sent_ < out_.size())
        if (const Io io = write_some(); io != Io::progress)
            return io;
    if (has_output_ || !out_.empty())
        release_output();
    return Io::progress;
}

void Stream::upgrade(std::unique_ptr<Transport> transport)
{
    ensure(!waiter_ && !transport_ && unsent() == 0, "a stream is upgraded once, between two operations");
    discard_input();
    release_input();
    skipping_line_ = false;
    transport_ = std::move(transport);
}

Stream::Io Stream::shake_hands()
{
    switch (transport_->handshake()) {
    case Transport::Step::done:
        readable_ = writable_ = true; // what the socket has now, nobody has tried
        return Io::progress;
    case Transport::Step::wants_input:
        return Io::blocked;
    case Transport::Step::wants_output:
        writable_ = false;
        return Io::blocked;
    case Transport::Step::ended:
        peer_closed_ = true;
        error_ = 0;
        break;
    case Transport::Step::failed:
        break;
    }
    return Io::ended;
}

std::string_view Stream::arrived()
{
    drop_line();
    while (end_ - begin_ < max_arrived && read_more() == Io::progress) {
    }
    return unread();
}

void Stream::attach_descriptors(std::vector<int> descriptors)
{
    ensure(descriptors.size() <= PassedDescriptors::max_at_once, "too many descriptors for one message");
    if (!passed_)
        passed_ = std::make_unique<PassedDescriptors>();
    passed_->to_send = std::move(descriptors);
}

void Stream::accept_descriptors(std::size_t limit)
{
    if (!passed_)
        passed_ = std::make_unique<PassedDescriptors>();
    passed_->limit = limit;
    passed_->taken.clear();
}

std::vector<UniqueFd> Stream::take_descriptors()
{
    return passed_ ? std::exchange(passed_->taken, {}) : std::vector<UniqueFd>();
}

void Stream::send_what_fits()
{
    if (unsent() > 0)
        (void)write_more();
}

void Stream::Awaiter::give_up(Fault fault, int number)
{
    failed_ = true;
    fault_ = fault;
    number_ = number;
}

Error Stream::Awaiter::error() const
{
    switch (fault_) {
    case Fault::timeout:
        return Error(fault_, "timeout");
    case Fault::cancelled:
        return Error(fault_, "cancelled");
    case Fault::limit:
        return Error(fault_, "too much data");
    case Fault::broken:
        return Error(fault_, stream_.transport_->problem());
    default:
        return number_ ? Error(Fault::closed, std::strerror(number_), number_)
                       : Error(Fault::closed, "lost connection");
    }
}

bool Stream::Awaiter::attempt()
{
    Stream& s = stream_;
    if (s.cancelled_) {
        give_up(Fault::cancelled);
        return true;
    }
    for (;;) {
        switch (want_) {
        case Want::line: {
            const std::string_view bytes = s.unread();
            const auto* found = static_cast<const char*>(
                searched_ < bytes.size()
                    ? std::memchr(bytes.data() + searched_, '\n', bytes.size() - searched_)
                    : nullptr);
            if (found) {
                std::size_t size = static_cast<std::size_t>(found - bytes.data());
                s.hold_ = size + 1;
                line_.bare_lf = size == 0 || bytes[size - 1] != '\r';
                if (!line_.bare_lf)
                    --size;
                line_.complete = !s.skipping_line_ && size <= amount_;
                line_.text = bytes.substr(0, std::min(size, amount_));
                s.skipping_line_ = false;
                return true;
            }
            searched_ = bytes.size();
            if (bytes.size() > amount_ + 2) { // keep the front, drop what is too much
                s.skipping_line_ = true;
                s.end_ = s.begin_ + amount_;
                searched_ = amount_;
            }
            break;
        }
        case Want::more:
            if (s.end_ - s.begin_ > searched_)
                return true;
            break;
        case Want::bytes:
            if (amount_ > max_need) {
                give_up(Fault::limit);
                return true;
            }
            if (s.end_ - s.begin_ >= amount_)
                return true;
            s.reserve_input(amount_);
            break;
        case Want::flushed:
            break;
        case Want::secured: {
            const Io io = s.shake_hands();
            if (io == Io::ended)
                give_up(s.peer_closed_ && s.transport_->problem().empty() ? Fault::closed : Fault::broken);
            return io != Io::blocked;
        }
        case Want::seen:
            return see_enough();
        }
        if (s.unsent() > 0 && s.writable_ && s.write_more() == Io::ended) {
            give_up(Fault::closed, s.error_);
            return true;
        }
        if (want_ == Want::flushed) {
            if (s.unsent() > 0)
                return false;
            return true;
        }
        if (!s.readable_)
            return false;
        const Io io = s.read_more();
        if (io == Io::ended) {
            give_up(Fault::closed, s.error_);
            return true;
        }
        if (io == Io::blocked)
            return false;
    }
}

// Each packet that arrives is announced, also when nothing was taken since the last.
bool Stream::Awaiter::see_enough()
{
    char room[max_seen];
    const ssize_t n = ::recv(stream_.fd_.get(), room, std::min(amount_, max_seen), MSG_PEEK);
    if (n >= static_cast<ssize_t>(std::min(amount_, max_seen)))
        return true;
    if (n == 0 || (n > 0 && stream_.peer_closed_) || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        give_up(Fault::closed, n < 0 ? errno : 0);
        return true;
    }
    return false;
}

bool Stream::Awaiter::await_ready()
{
    Stream& s = stream_;
    ensure(s.waiter_ == nullptr, "two coroutines wait on one stream");
    if (want_ != Want::flushed)
        s.drop_line();
    if (want_ == Want::more)
        searched_ = s.end_ - s.begin_;
    return attempt();
}

void Stream::Awaiter::await_suspend(std::coroutine_handle<> handle)
{
    Stream& s = stream_;
    handle_ = handle;
    s.waiter_ = this;
    if (s.begin_ == s.end_ && s.in_)
        s.release_input();
    s.watch();
    s.arm_timer();
}

// Input and the end are always of interest, room for output only when there was none: the
// kernel tells of room in a UNIX socket each time that the peer has read from it.
void Stream::watch()
{
    const auto add = [this](void*& one, short what) {
        if (!one)
            one = event_new(loop_base(), fd_.get(), static_cast<short>(what | EV_ET), StreamCallback::ready,
                            this);
        event_add(static_cast<event*>(one), nullptr);
    };
    if (!event_)
        add(event_, EV_READ | EV_CLOSED | EV_PERSIST);
    if (!writable_)
        add(write_event_, EV_WRITE);
}

void Stream::Awaiter::finish()
{
    stream_.waiter_ = nullptr;
    handle_.resume(); // the awaiter and perhaps the stream are gone after this
}

void Stream::ready(bool readable, bool writable, bool closed)
{
    // A peer that has closed may have left a full buffer: only trying to write tells.
    readable_ |= readable || closed;
    writable_ |= writable || closed;
    if (closed)
        peer_closed_ = true;
    if (!waiter_)
        return;
    if (waiter_->attempt())
        waiter_->finish();
    else
        watch();
}

void Stream::cancel()
{
    cancelled_ = true;
    if (!waiter_)
        return;
    waiter_->give_up(Fault::cancelled);
    waiter_->finish();
}

SteadyTime Stream::wait_end() const
{
    const SteadyTime by_timeout =
        timeout_ > Milliseconds(0) ? SteadyClock::now() + timeout_ : SteadyTime::max();
    return std::min(by_timeout, deadline_);
}

// One soft timer per stream: the end of the wait is stored, and the timer is
// re-armed only when it fires too early.
void Stream::arm_timer()
{
    wait_end_ = wait_end();
    if (wait_end_ == SteadyTime::max() || (timer_armed_ && timer_end_ <= wait_end_))
        return;
    if (!timer_event_)
        timer_event_ = event_new(loop_base(), -1, 0, StreamCallback::timer, this);
    start_timer();
}

void Stream::start_timer()
{
    const timeval tv = to_timeval(std::chrono::ceil<Milliseconds>(wait_end_ - SteadyClock::now()));
    event_add(static_cast<event*>(timer_event_), &tv);
    timer_end_ = wait_end_;
    timer_armed_ = true;
}

void Stream::timer_fired()
{
    timer_armed_ = false;
    if (!waiter_)
        return;
    if (SteadyClock::now() < wait_end_) {
        if (wait_end_ != SteadyTime::max())
            start_timer();
        return;
    }
    waiter_->give_up(Fault::timeout);
    waiter_->finish();
}

void Stream::close()
{
    if (transport_ && !cancelled_)
        transport_->close();
    if (fd_)
        ::shutdown(fd_.get(), SHUT_RDWR);
}

} // namespace bulkhead
