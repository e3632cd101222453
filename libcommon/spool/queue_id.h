// The name of a queue file: what it may look like, how a new one is made, what
// can be read from it.  A QueueId that exists is safe to use in a path.
// Facts: docs on the queue file format, "Queue id and path".
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

inline constexpr unsigned max_hash_depth = 16; // hash_queue_depth

// Short form: five or more upper-case hex digits of the microseconds at naming
// time, then the inode number in upper-case hex.  Long form: seconds and
// microseconds in base 52, 'z', inode in base 51; unique without a time limit.
class QueueId
{
public:
    static constexpr std::size_t max_length = 255;

    // Empty: no id.  Only for members that are filled later.
    QueueId() = default;

    // 1 to 255 characters of [A-Za-z0-9_], anything else is Fault::malformed.
    static Result<QueueId> parse(std::string_view text);
    static bool is_valid(std::string_view text);

    static QueueId make_short(const WallTime& named, std::uint64_t inode);
    static QueueId make_long(const WallTime& named, std::uint64_t inode);
    static QueueId make(bool long_form, const WallTime& named, std::uint64_t inode)
    {
        return long_form ? make_long(named, inode) : make_short(named, inode);
    }

    const std::string& text() const { return text_; }
    bool empty() const { return text_.empty(); }

    // The last 'z' stands at index 10 or later.
    bool is_long() const;

    // The inode number that the id names; nullopt if those digits are none.  For
    // a short id it must equal the file's real inode (see postsuper).
    std::optional<std::uint64_t> inode() const;

    // When the file was named; nullopt for short ids, whose time is not complete.
    std::optional<WallTime> time() const;

    // One directory name per character: the first `depth` (at most max_hash_depth)
    // characters of the hash key, which is the id itself, or the "%05X"
    // microseconds of a long id.
    std::string hash_characters(unsigned depth) const;

    auto operator<=>(const QueueId&) const = default;

private:
    explicit QueueId(std::string text) : text_(std::move(text)) {}

    std::string text_;
};

} // namespace bulkhead

template <> struct std::hash<bulkhead::QueueId> {
    std::size_t operator()(const bulkhead::QueueId& id) const noexcept
    {
        return std::hash<std::string>{}(id.text());
    }
};
