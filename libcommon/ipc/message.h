// One message between two of our processes: a kind and a list of named values.
// On the wire: magic, version, kind, a spare byte, the length of the body (32 bits,
// little endian), then for each attribute a name (8-bit length) and a value
// (32-bit length).  The first byte is no ASCII letter, so the one-letter
// notifications that scripts send to the same sockets cannot be taken for it.
// Every length is checked: a process that was taken over must not be able to
// confuse the next.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::ipc
{

inline constexpr char frame_magic = '\xb5';
inline constexpr char frame_version = 1;
inline constexpr std::size_t frame_header_size = 8;
inline constexpr std::size_t max_frame_body = 1000 * 1000; // bytes

// What a message asks for or answers.  One list for all conversations.
enum class Kind : std::uint8_t {
    ok = 1,  // the answer of a request that worked
    failed,  // "reason": the request did not work
    rewrite, // rewrite.h
    resolve,
    cleanup_open,    // cleanup.h
    cleanup_records, // the body is raw records, not attributes
    cleanup_finish,
    cleanup_milters,
    queue_arrival, // qmgr.h
    queue_flush,
    deliver,       // delivery.h
    bounce_append, // bounce.h
    bounce_flush,
    show_queue, // showq.h
    show_message,
    verify_query, // verify.h
    verify_update,
    flush_add, // flush.h
    flush_site,
    client_event, // anvil.h
    session,      // hand_over.h
    recipient_owner,
    queue_logged, // qmgr.h
};
inline constexpr auto last_kind = static_cast<std::uint8_t>(Kind::queue_logged);

class Message
{
public:
    explicit Message(Kind kind) : kind_(kind) {}
    Message(Kind kind, std::string body) : kind_(kind), body_(std::move(body)) {}

    Kind kind() const { return kind_; }
    const std::string& body() const { return body_; }
    std::string take_body() && { return std::move(body_); }

    Message& add(std::string_view name, std::string_view value);
    Message& add(std::string_view name, std::int64_t value);

    // The first attribute of that name.
    std::optional<std::string_view> find(std::string_view name) const;

    // The same, a missing or unreadable one being a Fault::malformed.
    Result<std::string_view> text(std::string_view name) const;
    Result<std::int64_t> number(std::string_view name) const;

    // Walks all attributes in order; false ends the walk.
    struct Attribute {
        std::string_view name;
        std::string_view value;
    };
    class Walk
    {
    public:
        explicit Walk(std::string_view body) : rest_(body) {}
        std::optional<Attribute> next();

    private:
        std::string_view rest_;
    };
    Walk walk() const { return Walk(body_); }

    // Appends header and body to out.
    void encode(std::string& out) const;

private:
    Kind kind_;
    std::string body_;
};

Message failure(std::string_view reason);

// The header of a frame: its kind and the size of its body.
struct FrameHeader {
    Kind kind;
    std::size_t body_size;
};
Result<FrameHeader> parse_frame_header(std::string_view eight_bytes);

void append_frame_header(std::string& out, Kind kind, std::size_t body_size);

// A body must be a whole number of attributes.
Result<> check_attributes(std::string_view body);

} // namespace bulkhead::ipc
