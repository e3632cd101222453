// What may stand between a Stream and its socket: it makes the bytes on the wire from
// those of the dialogue (TLS).  A transport reads and writes the socket itself, never
// waits, and says for which readiness it would have to.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead
{

class Transport
{
public:
    enum class Step {
        done,
        wants_input,  // the socket had no more bytes
        wants_output, // the socket took no more bytes
        ended,        // the peer has ended the conversation
        failed,       // problem() says why; nothing more can be done
    };

    virtual ~Transport() = default;

    virtual Step handshake() = 0;

    // done: at least one byte came or went.
    virtual Step read(std::span<char> room, std::size_t& got) = 0;
    virtual Step write(std::string_view bytes, std::size_t& taken) = 0;

    // Says goodbye to the peer as far as that goes without waiting.
    virtual void close() = 0;

    // Why a step failed, for the log.
    virtual std::string problem() const = 0;
};

} // namespace bulkhead
