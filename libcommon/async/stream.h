// A byte stream over a non-blocking socket, for one coroutine at a time.  The
// deadline, the byte limits and the buffers belong to the stream, not to each
// call.  Output is collected and sent before the stream blocks on input: that
// batches pipelined replies for free.  Buffers are held only while bytes are
// pending, so an idle stream costs less than a KiB.
#pragma once

#include "async/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Transport;

// A line as it came, without its line end.
struct Line {
    std::string_view text;
    bool complete = true; // false: the line was longer than the limit; the rest was dropped
    bool bare_lf = false; // ended by LF without CR
};

class Stream
{
public:
    explicit Stream(UniqueFd fd);
    ~Stream();
    Stream(const Stream&) = delete;

    static constexpr std::size_t block_size = 16 * 1024;

    int fd() const { return fd_.get(); }

    // Each wait for the peer ends with Fault::timeout after this time; zero: no limit.
    void set_timeout(Milliseconds timeout) { timeout_ = timeout; }
    Milliseconds timeout() const { return timeout_; }

    // A wait is over at this moment at the latest, whatever the timeout.
    void set_deadline(SteadyTime moment) { deadline_ = moment; }
    void clear_deadline() { deadline_ = SteadyTime::max(); }

    // Wakes the waiter with Fault::cancelled; every later wait fails the same way.
    void cancel();

    class Awaiter;

    // co_await stream.read_line(limit): the next line, at most `limit` bytes of it.
    // The view lives until the next call on the stream.
    auto read_line(std::size_t limit);

    // co_await stream.fill(): at least one more byte is in buffered().  A clean end
    // of the peer's stream is Fault::closed.
    auto fill();

    // co_await stream.need(n): buffered() holds at least n bytes (n <= 1 MiB).
    auto need(std::size_t bytes);

    // co_await stream.flush(): everything written has been given to the kernel.
    auto flush();

    // From here on all bytes go through `transport`.  What the peer has sent before is
    // dropped: it must not survive into a protected conversation.  Output must have been
    // flushed.
    void upgrade(std::unique_ptr<Transport> transport);
    bool is_upgraded() const { return transport_ != nullptr; }

    // co_await stream.handshake(): after upgrade(); over within one timeout.  Fault::broken
    // with the transport's own words when the two sides do not come to terms.
    auto handshake();

    // co_await stream.see(n): at least n bytes wait in the socket; peek() shows them and
    // drop_peeked() takes some.  For the first words of a connection, behind which another
    // protocol may begin: nothing may have been read before.
    auto see(std::size_t bytes);
    std::size_t peek(std::span<char> room) const; // how many it has shown
    Result<> drop_peeked(std::size_t bytes);

    // What has arrived by now, without waiting (at most max_arrived bytes).
    static constexpr std::size_t max_arrived = 64 * 1024;
    std::string_view arrived();

    // Last words of a conversation that is over: sends as much of the output as goes
    // without waiting, also after cancel().
    void send_what_fits();

    // What has arrived and was not consumed; the last line read is not in it.
    std::string_view buffered()
    {
        drop_line();
        return unread();
    }
    void consume(std::size_t bytes);

    // Puts bytes in front of what the socket has: what another process has read of it.  In front of
    // the first reading operation.
    void give_back(std::string_view bytes);

    // The connection belongs to another process now: closes our copy without a word to the peer.
    // Nothing can be read or written any more.
    void let_go();

    // Overwrites what is in the buffer, and forgets it.
    void wipe_input();

    // Drops what the peer has sent ahead (after STARTTLS, in front of a greeting).
    void discard_input();

    // The input's memory goes back, if nothing is in it: in front of a wait for something else.
    void rest();

    // Collects output; goes out with flush() or when the stream next blocks.
    void write(std::string_view bytes) { output().append(bytes); }
    std::size_t unsent() const { return out_.size() - sent_; }
    std::string& output()
    {
        if (!has_output_)
            take_output();
        return out_;
    }

    // From here on the memory of output is overwritten once that has gone, or the stream ends.
    void hide_output() { hides_output_ = true; }

    // UNIX sockets: descriptors go with the next bytes that are sent.  They stay the caller's,
    // and open until a flush is over.
    void attach_descriptors(std::vector<int> descriptors);

    // Takes descriptors that the peer sends, at most `limit` of them; more are closed.
    void accept_descriptors(std::size_t limit);
    std::vector<UniqueFd> take_descriptors();

    // The peer closed or reset the connection, as far as is known now.
    bool peer_closed() const { return peer_closed_; }

    // Nothing waits in the socket, as far as is known without asking the kernel.
    bool is_silent() const { return !readable_ && !peer_closed_; }

    std::uint64_t bytes_read() const { return bytes_read_; }

    // Ends output in the kernel's queue order, and tells the peer of an upgraded stream; the
    // socket is closed by the destructor.
    void close();

    class Awaiter
    {
    public:
        enum class Want { line, more, bytes, flushed, secured, seen };
        Awaiter(Stream& stream, Want want, std::size_t amount) : stream_(stream), want_(want), amount_(amount)
        {
        }

        bool await_ready();
        void await_suspend(std::coroutine_handle<> handle);

    protected:
        friend class Stream;
        bool attempt(); // true when the operation is over, well or not
        bool see_enough();
        void give_up(Fault fault, int number = 0);
        Error error() const;
        void finish();

        Stream& stream_;
        Want want_;
        std::size_t amount_;
        std::size_t searched_ = 0;
        Line line_;
        bool failed_ = false;
        Fault fault_ = Fault::closed;
        int number_ = 0;
        std::coroutine_handle<> handle_;
    };

private:
    friend struct StreamCallback;

    enum class Io { progress, blocked, ended };
    std::string_view unread() const { return {in_.get() + begin_, end_ - begin_}; }
    void drop_line();
    Io read_more();
    Io read_upgraded(std::size_t room);
    Io write_some();
    Io write_upgraded();
    Io write_more();
    Io shake_hands();
    void reserve_input(std::size_t bytes);
    void release_input();
    void take_output();
    void release_output();
    void wipe_output();
    void ready(bool readable, bool writable, bool closed);
    void watch();
    void arm_timer();
    void start_timer();
    void timer_fired();
    SteadyTime wait_end() const;

    UniqueFd fd_;
    std::unique_ptr<Transport> transport_; // uses fd_
    void* event_ = nullptr;
    void* write_event_ = nullptr;
    void* timer_event_ = nullptr;
    bool timer_armed_ = false;
    bool readable_ = true;
    bool writable_ = true;
    bool peer_closed_ = false;
    bool cancelled_ = false;
    bool skipping_line_ = false;
    int error_ = 0;
    Milliseconds timeout_{0};
    SteadyTime deadline_ = SteadyTime::max();
    SteadyTime wait_end_ = SteadyTime::max();
    SteadyTime timer_end_ = SteadyTime::max(); // when the armed timer fires
    Awaiter* waiter_ = nullptr;

    std::unique_ptr<char[]> in_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t hold_ = 0; // bytes of the last line, consumed by the next call
    std::string out_;
    std::size_t sent_ = 0;
    bool hides_output_ = false;
    bool has_output_ = false; // out_ is memory of its own, or the beginning of it
    std::uint64_t bytes_read_ = 0;
    std::unique_ptr<struct PassedDescriptors> passed_; // null: none are sent or taken
};

// What await gives back: a Line for read_line(), nothing for the others.
template <typename T> class StreamOperation final : public Stream::Awaiter
{
public:
    using Awaiter::Awaiter;
    Result<T> await_resume()
    {
        if (failed_)
            return error();
        if constexpr (std::is_same_v<T, Line>)
            return line_;
        else
            return {};
    }
};

inline auto Stream::read_line(std::size_t limit)
{
    return StreamOperation<Line>(*this, Awaiter::Want::line, limit);
}
inline auto Stream::fill()
{
    return StreamOperation<void>(*this, Awaiter::Want::more, 1);
}
inline auto Stream::need(std::size_t bytes)
{
    return StreamOperation<void>(*this, Awaiter::Want::bytes, bytes);
}
inline auto Stream::handshake()
{
    return StreamOperation<void>(*this, Awaiter::Want::secured, 0);
}
inline auto Stream::see(std::size_t bytes)
{
    return StreamOperation<void>(*this, Awaiter::Want::seen, bytes);
}
inline auto Stream::flush()
{
    return StreamOperation<void>(*this, Awaiter::Want::flushed, 0);
}

} // namespace bulkhead
