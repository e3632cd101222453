#include "spool/new_file.h"

#include "base/clock.h"
#include "spool/file_pool.h"
#include "spool/io.h"
#include "spool/lock.h"
#include "spool/marks.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace bulkhead
{

// Threads of one process may ask in the same microsecond; a dead process of the
// same number may have left a file.  Both are over after a few tries.
static constexpr int max_tries = 100;

static Result<UniqueFd> open_temporary(const Spool& spool, Queue queue, std::string& path)
{
    const mode_t mode = queue == Queue::maildrop ? 0644 : file_mode::unfinished;
    for (int attempt = 0; attempt < max_tries; ++attempt) {
        path = fmt::format("{}/{}.{}", queue_name(queue), WallTime::now().microseconds, ::getpid());
        if (attempt > 0)
            path += fmt::format(".{}", attempt);
        auto fd = open_at(spool.root_fd(), path, O_RDWR | O_CREAT | O_EXCL, mode);
        if (fd || fd.error().number != EEXIST)
            return fd;
    }
    return Error{Fault::io, fmt::format("no free name for a new file in {}", queue_name(queue)), EEXIST};
}

Result<NewQueueFile> NewQueueFile::create(const Spool& spool, Queue queue, NewFileOptions options)
{
    if (options.pool != nullptr && queue != Queue::maildrop)
        if (auto spare = options.pool->take()) {
            NewQueueFile file(spool, queue, std::move(spare->fd));
            file.path_ = spare->path;
            if (file.take_name(std::move(spare->path), options.long_id, spare->inode))
                return file;
        }
    std::string temporary;
    TRY(UniqueFd fd, open_temporary(spool, queue, temporary));
    NewQueueFile file(spool, queue, std::move(fd));
    file.path_ = temporary;

    struct stat st{};
    if (::fstat(file.fd_.get(), &st) != 0)
        return file_error("stat", temporary);
    TRY(const bool locked, try_lock(file.fd_.get(), FileLock::exclusive));
    if (!locked)
        return Error{Fault::io, fmt::format("somebody locked the new file {}", temporary)};
    TRY_VOID(file.take_name(std::move(temporary), options.long_id, st.st_ino));
    return file;
}

// A shared lock keeps the file from who wants it for itself, too.
static Result<> lock_somehow(int fd, const std::string& path)
{
    for (const FileLock kind : {FileLock::exclusive, FileLock::shared}) {
        TRY(const bool locked, try_lock(fd, kind));
        if (locked)
            return {};
    }
    return Error{Fault::io, fmt::format("somebody locked the file {}", path), EWOULDBLOCK};
}

Result<NewQueueFile> NewQueueFile::take_over(const Spool& spool, Queue queue, std::string path,
                                             const QueueId& id)
{
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDWR));
    TRY_VOID(lock_somehow(fd.get(), path));
    std::string target = spool.path_of(queue, id);
    TRY_VOID(rename_in_spool(spool, path, target));
    NewQueueFile file(spool, queue, std::move(fd));
    file.path_ = std::move(target);
    file.id_ = id;
    return file;
}

Result<NewQueueFile> NewQueueFile::create(const Spool& spool, Queue queue, const QueueId& id)
{
    std::string temporary;
    TRY(const UniqueFd fd, open_temporary(spool, queue, temporary));
    auto file = take_over(spool, queue, temporary, id);
    if (!file)
        ::unlinkat(spool.root_fd(), temporary.c_str(), 0);
    return file;
}

Result<> NewQueueFile::take_name(std::string temporary, bool long_id, std::uint64_t inode)
{
    for (int attempt = 0;; ++attempt) {
        id_ = QueueId::make(long_id, WallTime::now(), inode);
        std::string path = spool_->path_of(queue_, id_);
        const auto renamed = rename_in_spool(*spool_, temporary, path);
        if (renamed) {
            path_ = std::move(path);
            return {};
        }
        if (renamed.error().number != EEXIST || attempt == max_tries)
            return renamed.error();
    }
}

NewQueueFile::NewQueueFile(NewQueueFile&& other) noexcept
    : spool_(other.spool_), queue_(other.queue_), fd_(std::move(other.fd_)), id_(std::move(other.id_)),
      path_(std::exchange(other.path_, {})), size_(other.size_)
{
}

NewQueueFile& NewQueueFile::operator=(NewQueueFile&& other) noexcept
{
    if (this != &other) {
        discard();
        spool_ = other.spool_;
        queue_ = other.queue_;
        fd_ = std::move(other.fd_);
        id_ = std::move(other.id_);
        path_ = std::exchange(other.path_, {});
        size_ = other.size_;
    }
    return *this;
}

NewQueueFile::~NewQueueFile()
{
    discard();
}

// Unlinks before the descriptor, and with it the lock, goes.  A name that cannot be removed
// must at least not stand for a message: its client was told that we do not have it.
void NewQueueFile::discard() noexcept
{
    if (!path_.empty() && ::unlinkat(spool_->root_fd(), path_.c_str(), 0) != 0 && fd_)
        (void)::fchmod(fd_.get(), file_mode::unfinished);
    path_.clear();
    fd_.reset();
}

Result<> NewQueueFile::append(std::string_view bytes)
{
    return append(std::span(&bytes, 1));
}

Result<> NewQueueFile::append(std::span<const std::string_view> pieces)
{
    if (auto written = write_pieces_at(fd_.get(), pieces, size_); !written)
        return system_error("write " + path_, written.error().number);
    for (const std::string_view piece : pieces)
        size_ += static_cast<std::int64_t>(piece.size());
    return {};
}

Result<> NewQueueFile::patch(std::int64_t offset, std::string_view bytes)
{
    ensure(offset >= 0 && offset + static_cast<std::int64_t>(bytes.size()) <= size_,
           "a patch stays inside of what was written");
    if (auto written = write_pieces_at(fd_.get(), std::span(&bytes, 1), offset); !written)
        return system_error("write " + path_, written.error().number);
    return {};
}

Result<> NewQueueFile::put_on_hold()
{
    if (queue_ == Queue::hold)
        return {};
    std::string path = spool_->path_of(Queue::hold, id_);
    TRY_VOID(rename_in_spool(*spool_, path_, path));
    path_ = std::move(path);
    queue_ = Queue::hold;
    return {};
}

Result<QueueId> NewQueueFile::commit() &&
{
    const mode_t mode = queue_ == Queue::maildrop ? file_mode::submission : file_mode::ready;
    // On each error the destructor of a local takes the file away while it is locked.
    NewQueueFile file(std::move(*this));
    if (::fchmod(file.fd_.get(), mode) != 0)
        return file_error("change mode of", file.path_);
    if (::fsync(file.fd_.get()) != 0)
        return file_error("fsync", file.path_);
    file.path_.clear();
    return std::move(file.id_);
}

} // namespace bulkhead
