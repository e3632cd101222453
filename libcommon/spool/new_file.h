// A queue file that is being written.  It exists for others only once commit()
// has said so; every other way out removes it.
//
// The order, and what is on disk at each step ("name first, sync last"):
//   1. open <queue>/<usec>.<pid>, O_EXCL, 0600  an empty file that nobody takes for mail,
//                                               or one of the pool, see file_pool.h
//   2. flock EX                                 held until close, see below
//   3. rename to the queue id                   the final name comes before the sync, so
//                                               that one fsync makes data, mode and name
//                                               durable (ext4, xfs, btrfs) and no
//                                               directory needs one
//   4. write the records                        0600: "not complete", readers skip it
//   5. fchmod 0700                              complete, but perhaps not durable: a reader
//                                               that respects the lock waits
//   6. fsync                                    data, mode and name are on disk
//   7. close                                    drops the lock: now the queue manager
//                                               takes it, and only now a client is told
// If 6 fails, the file is unlinked before the lock is dropped, so a message that
// was refused is never delivered.  A crash before 6 leaves a 0600 file, nothing,
// or a complete file that no client was told of.  Readers in incoming/ take the
// lock (EX, without waiting) and leave a busy file alone: try_lock() in lock.h.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/paths.h"
#include "spool/queue_id.h"

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead
{

class FilePool;

struct NewFileOptions {
    bool long_id = false;     // enable_long_queue_ids
    FilePool* pool = nullptr; // of files to use again; not for maildrop
};

// Not shared between threads, but may move from one to another.
class NewQueueFile
{
public:
    // Creates, locks and names an empty file in `queue`.  The spool must outlive it.
    // Fault::io with errno (ENOSPC, EDQUOT, EACCES, …).
    static Result<NewQueueFile> create(const Spool& spool, Queue queue, NewFileOptions options = {});

    // The same with an id that is known: an empty file of the spool, at this path, gets it as
    // its name.  Who reads the message already may hold a shared lock on the file.
    // Fault::not_found: it is not there any more.
    static Result<NewQueueFile> take_over(const Spool& spool, Queue queue, std::string path,
                                          const QueueId& id);
    // And without such a file.
    static Result<NewQueueFile> create(const Spool& spool, Queue queue, const QueueId& id);

    NewQueueFile(NewQueueFile&& other) noexcept;
    NewQueueFile& operator=(NewQueueFile&& other) noexcept;
    ~NewQueueFile(); // unlinks unless committed

    const QueueId& id() const { return id_; }
    Queue queue() const { return queue_; }
    std::int64_t size() const { return size_; } // bytes appended so far
    int fd() const { return fd_.get(); }

    // At the end of the file, all bytes or an error (Fault::io, errno ENOSPC: disk full).
    Result<> append(std::string_view bytes);
    // The same for several pieces with one system call.
    Result<> append(std::span<const std::string_view> pieces);

    // Overwrites bytes that were appended before, e.g. the C record.
    Result<> patch(std::int64_t offset, std::string_view bytes);

    // The message goes to hold/ instead: renames now, before it is complete.
    Result<> put_on_hold();

    // Complete and durable, then closed; on an error the file is gone.
    Result<QueueId> commit() &&;

private:
    NewQueueFile(const Spool& spool, Queue queue, UniqueFd fd)
        : spool_(&spool), queue_(queue), fd_(std::move(fd))
    {
    }

    Result<> take_name(std::string temporary, bool long_id, std::uint64_t inode);
    void discard() noexcept;

    const Spool* spool_;
    Queue queue_;
    UniqueFd fd_;
    QueueId id_;
    std::string path_; // "" once committed or moved from
    std::int64_t size_ = 0;
};

} // namespace bulkhead
