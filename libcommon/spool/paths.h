// The spool as a tree of directories: their names, owners and modes, where a
// queue file of an id belongs, and how the tree comes into being.  Paths are
// relative to the spool's root, so that the same code runs inside and outside of
// the jail.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/queue_id.h"

#include <sys/types.h>

#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// Every directory that has one file per queue id, and flush and saved, which do
// not but live beside them.
enum class Queue : unsigned char {
    maildrop,
    incoming,
    active,
    deferred,
    hold,
    corrupt,
    bounce,
    defer,
    trace,
    flush,
    saved
};

inline constexpr std::size_t queue_count = 11;
inline constexpr std::array<Queue, queue_count> all_queues{
    Queue::maildrop, Queue::incoming, Queue::active, Queue::deferred, Queue::hold, Queue::corrupt,
    Queue::bounce,   Queue::defer,    Queue::trace,  Queue::flush,    Queue::saved};
// The ones that hold messages, in the order in which mailq shows them.
inline constexpr std::array<Queue, 6> message_queues{Queue::maildrop, Queue::active, Queue::incoming,
                                                     Queue::deferred, Queue::hold,   Queue::corrupt};

std::string_view queue_name(Queue queue);
std::optional<Queue> queue_from_name(std::string_view name);

// A set of queues, for hash_queue_names and for choices on command lines.
class QueueSet
{
public:
    constexpr QueueSet() = default;
    constexpr QueueSet(std::initializer_list<Queue> queues)
    {
        for (const Queue queue : queues)
            add(queue);
    }

    // "deferred, defer": Fault::config for a name that is no queue, and for
    // maildrop, which must stay flat.
    static Result<QueueSet> parse_hash_names(std::string_view names);

    constexpr void add(Queue queue) { bits_ |= 1u << static_cast<unsigned>(queue); }
    constexpr bool has(Queue queue) const { return (bits_ >> static_cast<unsigned>(queue)) & 1u; }
    constexpr bool empty() const { return bits_ == 0; }
    bool operator==(const QueueSet&) const = default;

private:
    unsigned bits_ = 0;
};

// Where a spool is and how it is hashed.
struct SpoolLayout {
    std::string root = ".";                              // queue_directory; "." or "/" inside the jail
    QueueSet hash_queues{Queue::deferred, Queue::defer}; // hash_queue_names
    unsigned hash_depth = 1;                             // hash_queue_depth, 1 to 16
};

// An open spool: a descriptor of its root and the layout.  Immutable after open,
// so threads share one; everything that works on files takes a reference to it,
// which must outlive what was made with it.
class Spool
{
public:
    // Fault::io naming the root if it cannot be opened.  May be called before or
    // after the jail is entered (with the root as seen from there).
    static Result<Spool> open(SpoolLayout layout);

    int root_fd() const { return root_.get(); }
    const SpoolLayout& layout() const { return layout_; }

    // "deferred/3/3AB12F00" where a file of this id belongs, relative to root_fd().
    std::string path_of(Queue queue, const QueueId& id) const;

    // Makes the missing hash directories above `path` (0700, owned like the queue
    // directory); `path` as path_of() gave it.
    Result<> make_parents(const std::string& path) const;

private:
    Spool(SpoolLayout layout, UniqueFd root) : layout_(std::move(layout)), root_(std::move(root)) {}

    SpoolLayout layout_;
    UniqueFd root_;
};

// Who owns what in a spool.
struct SpoolOwners {
    uid_t mail_owner = 0;
    gid_t mail_group = 0;   // group of the mail owner, for new directories only
    gid_t setgid_group = 0; // maildrop and public
};

// Creates the missing directories of a spool and gives the present ones their
// owner and mode; as often as one likes.  For master and `bulkhead check`, as
// root.  Never follows a symbolic link below the root.  The root itself is made
// (0755, its parent must exist), but one that exists is only checked: it must be
// a directory of the caller that nobody else may write to.  Errors name the path.
Result<> ensure_spool(const SpoolLayout& layout, const SpoolOwners& owners);

// The same check without repair: a sentence for each thing that is wrong.
std::vector<std::string> check_spool(const SpoolLayout& layout, const SpoolOwners& owners);

} // namespace bulkhead
