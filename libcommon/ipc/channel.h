// Messages over a stream, and pooled connections to a service's socket.
#pragma once

#include "async/stream.h"
#include "async/task.h"
#include "ipc/message.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead::ipc
{

// Reads one message; Fault::closed at the clean end of the conversation.
Task<Result<Message>> receive(Stream& stream);

// Sends one message and waits until the kernel has it.
Task<Result<>> send(Stream& stream, const Message& message);

// Connections to one service of this environment, kept for the next request.  A
// connection carries one conversation at a time.
class Service
{
public:
    // path relative to the spool: "private/rewrite", "public/cleanup".
    explicit Service(std::string path, Milliseconds timeout = Milliseconds(3600 * 1000));
    ~Service();

    const std::string& path() const { return path_; }

    // One request, one answer.  When a kept connection turns out to be dead before
    // any answer came (its worker has left), the request is sent once more over a
    // fresh one; `repeated`, which must live until the call is over, becomes true then, for those
    // to whom it matters that the dead worker may have begun.  An answer of Kind::failed is
    // returned like any other.
    Task<Result<Message>> call(const Message& request, bool* repeated = nullptr);

    // A connection for a conversation of several messages; give it back with keep()
    // when it is in step again, or drop it to break off.
    class Connection
    {
    public:
        Stream& stream() { return *stream_; }
        bool reused() const { return reused_; }
        // What one conversation leaves to the next one over this connection.
        std::string& note() { return note_; }

    private:
        friend class Service;
        std::unique_ptr<Stream> stream_;
        std::string note_;
        bool reused_ = false;
    };
    Result<Connection> connect(); // kept or fresh
    Result<Connection> connect_fresh();
    void keep(Connection connection);

private:
    // A kept connection is closed after this pause, so that an idle worker at the
    // other end sees that it is idle.
    static constexpr Milliseconds idle_time{5000};
    struct Idle {
        Connection connection;
        SteadyTime since;
    };
    void close_idle();

    std::string path_;
    Milliseconds timeout_;
    std::vector<Idle> idle_; // the one that was used last at the end
    Timer idle_timer_;
};

} // namespace bulkhead::ipc
