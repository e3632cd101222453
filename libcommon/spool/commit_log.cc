#include "spool/commit_log.h"

#include "base/text.h"
#include "spool/io.h"
#include "spool/lock.h"
#include "spool/marks.h"
#include "spool/moves.h"
#include "spool/queue_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace bulkhead
{

namespace
{

constexpr std::string_view states_name = "/states";
constexpr std::string_view states_magic = "\xb5LOGst1\n";

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

std::vector<std::string> names_in(const Spool& spool, const std::string& path)
{
    std::vector<std::string> names;
    auto fd = open_at(spool.root_fd(), path, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return names;
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd->get()));
    if (!directory)
        return names;
    (void)fd->release();
    while (const dirent* const entry = ::readdir(directory.get()))
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    return names;
}

// Only names that we give ourselves become parts of paths.
bool is_owner_name(std::string_view name)
{
    return !name.empty() && name.size() <= 40 &&
           std::ranges::all_of(name, [](char c) { return is_digit(c) || c == '-'; });
}

Error not_there(const LogPlace& place)
{
    return {Fault::malformed, fmt::format("{}: not in the log at {}/s{} offset {}", place.id.text(),
                                          place.owner, place.segment, place.offset)};
}

Result<std::string> read_whole(int fd)
{
    struct stat st{};
    if (::fstat(fd, &st) != 0)
        return system_error("stat");
    std::string bytes(static_cast<std::size_t>(st.st_size), '\0');
    TRY(const std::size_t size, read_at(fd, bytes.data(), bytes.size(), 0));
    bytes.resize(size);
    return bytes;
}

} // namespace

std::string to_text(const LogPlace& place)
{
    return fmt::format("{} {} {} {} {} {}", place.owner, place.segment, place.slot, place.offset,
                       place.serial, place.id.text());
}

Result<LogPlace> parse_log_place(std::string_view text)
{
    const auto parts = split(text, " ");
    LogPlace place;
    if (parts.size() != 6 || !is_owner_name(parts[0]))
        return Error{Fault::malformed, "a bad place in the log"};
    const auto segment = parse_unsigned(parts[1]);
    const auto slot = parse_unsigned(parts[2]);
    const auto offset = parse_unsigned(parts[3]);
    const auto serial = parse_unsigned(parts[4]);
    if (!segment || *segment > UINT32_MAX || !slot || *slot >= log_slots || !offset ||
        *offset > INT64_MAX / 2 || !serial)
        return Error{Fault::malformed, "a bad number in a place in the log"};
    TRY(place.id, QueueId::parse(parts[5]));
    place.owner = parts[0];
    place.segment = static_cast<std::uint32_t>(*segment);
    place.slot = static_cast<std::uint32_t>(*slot);
    place.offset = static_cast<std::int64_t>(*offset);
    place.serial = *serial;
    return place;
}

std::string log_path(std::string_view owner)
{
    return fmt::format("{}/{}", log_folder, owner);
}
std::string log_segment_path(std::string_view owner, std::uint32_t segment)
{
    return fmt::format("{}/{}/s{}", log_folder, owner, segment);
}
std::string log_name_path(std::string_view owner, std::uint64_t inode)
{
    return fmt::format("{}/{}/{:X}", log_folder, owner, inode);
}

Result<std::string> log_name_path(const LogPlace& place)
{
    const auto inode = place.id.inode();
    if (!inode)
        return Error{Fault::malformed, "the id names no inode: " + place.id.text()};
    return log_name_path(place.owner, *inode);
}

// ---- states ----------------------------------------------------------------------

struct LogStates::Layout {
    std::array<char, 8> magic;
    LogKey key;
    std::array<char, 40> spare;
    std::array<std::atomic<std::uint64_t>, log_slots> slots;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

Result<LogStates> LogStates::create(const Spool& spool, std::string_view owner, const LogKey& key)
{
    const std::string path = log_path(owner) + std::string(states_name);
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDWR | O_CREAT | O_EXCL, file_mode::unfinished));
    std::string bytes(states_magic);
    bytes.append(key.data(), key.size());
    bytes.resize(sizeof(Layout)); // written, not just reserved: a full disk shows now
    const std::string_view piece = bytes;
    if (auto written = write_pieces_at(fd.get(), std::span(&piece, 1), 0); !written)
        return written.error();
    if (::fsync(fd.get()) != 0)
        return file_error("fsync", path);
    return map(std::move(fd), path);
}

Result<LogStates> LogStates::open(const Spool& spool, std::string_view owner)
{
    const std::string path = log_path(owner) + std::string(states_name);
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDWR));
    return map(std::move(fd), path);
}

Result<LogStates> LogStates::map(UniqueFd file, const std::string& path)
{
    struct stat st{};
    if (::fstat(file.get(), &st) != 0)
        return file_error("stat", path);
    if (!S_ISREG(st.st_mode) || st.st_size != static_cast<off_t>(sizeof(Layout)))
        return Error{Fault::malformed, path + " is not complete"};
    void* const memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED)
        return file_error("map", path);
    auto* const shared = std::launder(static_cast<Layout*>(memory));
    LogStates states(std::move(file), shared, shared->key);
    if (std::string_view(shared->magic.data(), shared->magic.size()) != states_magic)
        return Error{Fault::malformed, path + " is damaged"};
    return states;
}

LogStates::LogStates(LogStates&& other) noexcept
    : file_(std::move(other.file_)), shared_(std::exchange(other.shared_, nullptr)), key_(other.key_)
{
}

LogStates::~LogStates()
{
    if (shared_ != nullptr)
        ::munmap(shared_, sizeof(Layout));
}

LogState LogStates::of(std::uint32_t slot, std::uint64_t serial) const
{
    const std::uint64_t value = shared_->slots[slot].load(std::memory_order_acquire);
    if (value >> 2 > serial)
        return LogState::gone; // a younger message has its slot
    return value >> 2 == serial ? static_cast<LogState>(value & 3) : LogState::alive;
}

void LogStates::set(std::uint32_t slot, std::uint64_t serial, LogState state)
{
    std::atomic<std::uint64_t>& value = shared_->slots[slot];
    std::uint64_t before = value.load(std::memory_order_relaxed);
    // The slot may have a younger message by now.
    while (before >> 2 <= serial &&
           !value.compare_exchange_weak(before, serial << 2 | static_cast<std::uint64_t>(state),
                                        std::memory_order_release, std::memory_order_relaxed))
        ;
}

std::size_t LogStates::count_alive() const
{
    return static_cast<std::size_t>(std::ranges::count_if(shared_->slots, [](const auto& slot) {
        const std::uint64_t value = slot.load(std::memory_order_acquire);
        return value != 0 && static_cast<LogState>(value & 3) == LogState::alive;
    }));
}

Result<> LogStates::sync() const
{
    return ::fdatasync(file_.get()) == 0 ? Result<>() : system_error("fdatasync states");
}

// ---- one message -----------------------------------------------------------------

Result<std::string> read_log_image(int segment, const LogKey& key, const LogPlace& place)
{
    // Most messages fit with one call.
    constexpr std::size_t first_read = 8192;
    std::string bytes(first_read, '\0');
    TRY(std::size_t size, read_at(segment, bytes.data(), bytes.size(), place.offset));
    LogHeader header;
    if (!parse_log_header(std::string_view(bytes).substr(0, size), key, header) ||
        header.serial != place.serial || header.slot != place.slot || header.id != place.id.text())
        return not_there(place);
    const std::size_t whole = log_header_bytes + header.image_bytes;
    if (whole > size) {
        bytes.resize(whole);
        TRY(const std::size_t more, read_at(segment, bytes.data() + size, whole - size,
                                            place.offset + static_cast<std::int64_t>(size)));
        size += more;
    }
    if (whole > size)
        return not_there(place);
    bytes.resize(whole);
    bytes.erase(0, log_header_bytes);
    return bytes;
}

Result<std::shared_ptr<const UniqueFd>> LogSegment::open(const Spool& spool, const LogPlace& place)
{
    std::string path = log_segment_path(place.owner, place.segment);
    if (!fd_ || path != path_) {
        fd_.reset();
        TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDWR));
        fd_ = std::make_shared<const UniqueFd>(std::move(fd));
        path_ = std::move(path);
    }
    return fd_;
}

Result<std::string> read_log_image(const Spool& spool, const LogStates& states, const LogPlace& place)
{
    TRY(const UniqueFd segment,
        open_at(spool.root_fd(), log_segment_path(place.owner, place.segment), O_RDONLY));
    return read_log_image(segment.get(), states.key(), place);
}

// What agents have marked since the image was copied into the file.
static Result<> copy_marks(int from, const LogPlace& place, std::string_view image, int to)
{
    std::string now(image.size(), '\0');
    TRY(const std::size_t size, read_at(from, now.data(), now.size(), place.image()));
    for (std::size_t i = 0; i < size; ++i)
        if (now[i] != image[i])
            TRY_VOID(mark_recipient_done(to, static_cast<std::int64_t>(i)));
    return {};
}

// The file is complete and durable; a second descriptor of it stays open for marks.
static Result<UniqueFd> write_file(NewQueueFile file, std::string_view image)
{
    UniqueFd fd(::fcntl(file.fd(), F_DUPFD_CLOEXEC, 0));
    struct stat st{};
    if (!fd || ::fstat(fd.get(), &st) != 0)
        return system_error("take a descriptor");
    const bool corrupt = (st.st_mode & 0700) == file_mode::corrupt;
    TRY_VOID(file.append(image));
    TRY(const QueueId id, std::move(file).commit());
    if (corrupt) // an agent says so
        TRY_VOID(mark_corrupt(fd.get()));
    return fd;
}

Result<> file_away(const Spool& spool, LogStates& states, const LogPlace& place, Queue target)
{
    if (states.of(place.slot, place.serial) != LogState::alive)
        return Error{Fault::not_found, place.id.text() + " has a file"};
    TRY(const UniqueFd segment,
        open_at(spool.root_fd(), log_segment_path(place.owner, place.segment), O_RDONLY));
    TRY(const std::string image, read_log_image(segment.get(), states.key(), place));
    TRY(const std::string name, log_name_path(place));
    TRY(NewQueueFile file, NewQueueFile::take_over(spool, target, name, place.id));
    TRY(const UniqueFd fd, write_file(std::move(file), image));
    states.set(place.slot, place.serial, LogState::filed);
    return copy_marks(segment.get(), place, image, fd.get());
}

Result<OpenLogged> open_logged(const Spool& spool, LogSegment& segment, const LogPlace& place)
{
    OpenLogged open;
    TRY(const std::string name, log_name_path(place));
    TRY(open.name, open_at(spool.root_fd(), name, O_RDWR));
    TRY(open.segment, segment.open(spool, place));
    std::array<char, log_header_bytes> head;
    TRY(const std::size_t size, read_at(open.segment->get(), head.data(), head.size(), place.offset));
    LogKey key;
    LogHeader header;
    std::memcpy(key.data(), head.data() + 8, key.size()); // of the right folder: the path says so
    if (!parse_log_header({head.data(), size}, key, header) || header.serial != place.serial ||
        header.id != place.id.text())
        return not_there(place);
    open.begin = place.image();
    open.end = open.begin + header.image_bytes;
    return open;
}

// An empty file has no byte there; one that is being filled will get the mark from the image.
Result<> repeat_mark(int name, std::int64_t offset)
{
    char byte = 0;
    TRY(const std::size_t size, read_at(name, &byte, 1, offset));
    return size == 1 ? mark_recipient_done(name, offset) : Result<>();
}

// ---- what is left of the dead ------------------------------------------------------

Result<UniqueFd> lock_log(const Spool& spool, std::string_view owner)
{
    const std::string path = log_path(owner);
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDONLY | O_DIRECTORY));
    TRY(const bool locked, try_lock(fd.get(), FileLock::exclusive));
    struct stat ours{};
    struct stat there{};
    // Whoever had the lock may have removed the folder.
    if (!locked || ::fstat(fd.get(), &ours) != 0 ||
        ::fstatat(spool.root_fd(), path.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        ours.st_ino != there.st_ino)
        return Error{Fault::refused, path + " belongs to another process"};
    return fd;
}

void remove_log(const Spool& spool, std::string_view owner)
{
    const std::string path = log_path(owner);
    // The states come last: without them the rest is nothing.
    for (const std::string& name : names_in(spool, path))
        if (name != states_name.substr(1))
            ::unlinkat(spool.root_fd(), fmt::format("{}/{}", path, name).c_str(), 0);
    ::unlinkat(spool.root_fd(), (path + std::string(states_name)).c_str(), 0);
    ::unlinkat(spool.root_fd(), path.c_str(), AT_REMOVEDIR);
}

LeftLog::LeftLog(const Spool& spool, std::string owner, UniqueFd lock, LogStates states)
    : spool_(&spool), owner_(std::move(owner)), lock_(std::move(lock)),
      states_(std::make_shared<LogStates>(std::move(states)))
{
}

std::vector<LeftLog> LeftLog::find(const Spool& spool)
{
    std::vector<LeftLog> left;
    for (std::string& owner : names_in(spool, std::string(log_folder))) {
        if (!is_owner_name(owner))
            continue;
        auto lock = lock_log(spool, owner);
        if (!lock)
            continue;
        auto states = LogStates::open(spool, owner);
        if (!states && (states.error().fault == Fault::not_found || states.error().fault == Fault::malformed))
            remove_log(spool, owner); // its owner died before it was in use
        if (states)
            left.push_back(LeftLog(spool, std::move(owner), *std::move(lock), *std::move(states)));
    }
    return left;
}

static Result<std::vector<LeftLog::Message>> read_log(const Spool& spool, const std::string& owner,
                                                      const LogStates& states)
{
    std::vector<LeftLog::Message> found;
    std::vector<std::uint64_t> batches; // of each message
    std::uint64_t last_batch = 0;
    for (const std::string& name : names_in(spool, log_path(owner))) {
        const auto number =
            name.starts_with('s') ? parse_unsigned(std::string_view(name).substr(1)) : std::nullopt;
        if (!number)
            continue;
        const auto segment = static_cast<std::uint32_t>(*number);
        TRY(const UniqueFd fd, open_at(spool.root_fd(), log_segment_path(owner, segment), O_RDONLY));
        TRY(const std::string bytes, read_whole(fd.get()));
        for (LogEntry& entry : read_log_segment(bytes, states.key())) {
            const LogHeader& header = entry.header;
            if (entry.intact)
                last_batch = std::max(last_batch, header.batch);
            auto id = QueueId::parse(header.id);
            if (!id || header.slot >= log_slots || states.of(header.slot, header.serial) != LogState::alive)
                continue;
            LogPlace place{owner,         segment,       header.slot, static_cast<std::int64_t>(entry.offset),
                           header.serial, *std::move(id)};
            found.push_back({std::move(place), std::string(entry.image), entry.intact});
            batches.push_back(header.batch);
        }
    }
    // A batch is written after the one before it is durable: damage in the last one means that
    // its sync was never over.
    std::size_t i = 0;
    std::erase_if(found, [&](const LeftLog::Message& message) {
        return batches[i++] >= last_batch && !message.intact;
    });
    std::ranges::sort(found, {}, [](const LeftLog::Message& message) { return message.place.serial; });
    return found;
}

Result<std::vector<LeftLog::Message>> LeftLog::messages() const
{
    return read_log(*spool_, owner_, *states_);
}

// Written but perhaps not to its end: by a process that died, and never marked as filed.
static Result<bool> is_whole(const Spool& spool, const LocatedFile& file, const LeftLog::Message& message)
{
    if (file.queue != Queue::incoming && file.queue != Queue::active)
        return true; // it went on its way as a file
    if (!file.info.is_ready() || file.info.size != static_cast<std::int64_t>(message.image.size()))
        return false;
    if (!message.intact)
        return true; // better than what we have
    TRY(const OpenQueueFile open, open_queue_file(spool, file.path));
    TRY(const std::string bytes, read_whole(open.fd.get()));
    return without_marks(bytes) == without_marks(message.image);
}

Result<bool> restore_logged(const Spool& spool, LogStates& states, const LeftLog::Message& message,
                            Queue target)
{
    constexpr Queue places[] = {Queue::incoming, Queue::active, Queue::deferred, Queue::hold, Queue::corrupt};
    const LogPlace& place = message.place;
    if (states.of(place.slot, place.serial) != LogState::alive)
        return true;
    TRY(const auto found, locate(spool, places, place.id));
    if (found) {
        TRY(const bool whole, is_whole(spool, *found, message));
        if (whole) {
            if (found->queue == Queue::incoming && target == Queue::active)
                TRY_VOID(move_queue_file(spool, Queue::incoming, Queue::active, place.id));
            states.set(place.slot, place.serial, LogState::filed);
            return true;
        }
        TRY(const OpenQueueFile open, open_queue_file(spool, found->path, Access::read_write));
        TRY(const bool locked, try_lock(open.fd.get(), FileLock::exclusive));
        if (!locked)
            return false; // its writer is at work
        TRY_VOID(remove_queue_file(spool, found->path));
    }
    if (!message.intact)
        target = Queue::corrupt;
    TRY(const std::string name, log_name_path(place));
    auto file = NewQueueFile::take_over(spool, target, name, place.id);
    if (!file && file.error().fault == Fault::not_found)
        file = NewQueueFile::create(spool, target, place.id);
    if (!file)
        return file.error();
    TRY(const UniqueFd fd, write_file(*std::move(file), message.image));
    states.set(place.slot, place.serial, LogState::filed);
    return true;
}

Result<bool> LeftLog::restore(const Message& message)
{
    return restore_logged(*spool_, *states_, message, Queue::incoming);
}

void LeftLog::remove()
{
    remove_log(*spool_, owner_);
}

// ---- for those who only look ---------------------------------------------------------

std::size_t count_logged(const Spool& spool)
{
    std::size_t count = 0;
    for (const std::string& owner : names_in(spool, std::string(log_folder))) {
        const auto states =
            is_owner_name(owner) ? LogStates::open(spool, owner) : Error(Fault::malformed, owner);
        if (states)
            count += states->count_alive();
    }
    return count;
}

std::vector<LeftLog::Message> logged_messages(const Spool& spool)
{
    std::vector<LeftLog::Message> all;
    for (const std::string& owner : names_in(spool, std::string(log_folder))) {
        const auto states =
            is_owner_name(owner) ? LogStates::open(spool, owner) : Error(Fault::malformed, owner);
        if (!states || states->count_alive() == 0)
            continue;
        auto messages = read_log(spool, owner, *states);
        if (!messages)
            continue;
        std::erase_if(*messages, [](const LeftLog::Message& message) { return !message.intact; });
        std::ranges::move(*messages, std::back_inserter(all));
    }
    return all;
}

} // namespace bulkhead
