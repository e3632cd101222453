#include "spool/scan.h"

#include "spool/io.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace bulkhead
{

// One open directory of the walk.
struct QueueScan::Level {
    struct Close {
        void operator()(DIR* open) const { ::closedir(open); }
    };
    std::unique_ptr<DIR, Close> directory;
    std::string path;

    static Result<Level> open(const Spool& spool, std::string path)
    {
        TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDONLY | O_DIRECTORY));
        DIR* directory = ::fdopendir(fd.get());
        if (directory == nullptr)
            return file_error("read directory", path);
        (void)fd.release(); // closedir() closes it
        return Level{std::unique_ptr<DIR, Close>(directory), std::move(path)};
    }
};

QueueScan::QueueScan(const Spool& spool, ScanOptions options) : spool_(&spool), options_(options) {}
QueueScan::QueueScan(QueueScan&&) noexcept = default;
QueueScan& QueueScan::operator=(QueueScan&&) noexcept = default;
QueueScan::~QueueScan() = default;

Result<QueueScan> QueueScan::open(const Spool& spool, Queue queue, ScanOptions options)
{
    QueueScan scan(spool, options);
    TRY(Level top, Level::open(spool, std::string(queue_name(queue))));
    scan.levels_.push_back(std::move(top));
    return scan;
}

Result<std::optional<QueueEntry>> QueueScan::next()
{
    while (!levels_.empty()) {
        errno = 0;
        const dirent* found = ::readdir(levels_.back().directory.get());
        if (found == nullptr) {
            if (errno != 0)
                return file_error("read directory", levels_.back().path);
            levels_.pop_back();
            continue;
        }
        const std::string_view name = found->d_name;
        if (name.starts_with('.'))
            continue;
        QueueEntry entry;
        entry.path = fmt::format("{}/{}", levels_.back().path, name);
        bool is_directory = found->d_type == DT_DIR;
        bool is_file = found->d_type == DT_REG;
        if (found->d_type == DT_UNKNOWN || (is_file && options_.with_info)) {
            const auto info = file_info(*spool_, entry.path);
            if (!info && info.error().fault == Fault::not_found)
                continue;
            if (!info)
                return info.error();
            entry.info = *info;
            is_directory = S_ISDIR(info->mode);
            is_file = info->is_regular();
        }
        if (is_directory && levels_.size() < max_depth) {
            auto level = Level::open(*spool_, std::move(entry.path));
            if (level)
                levels_.push_back(*std::move(level));
            else if (level.error().fault != Fault::not_found)
                return level.error();
            continue;
        }
        if (!is_file)
            continue;
        auto id = QueueId::parse(name);
        if (id)
            entry.id = *std::move(id);
        else if (!options_.foreign_names)
            continue;
        return std::optional(std::move(entry));
    }
    return std::optional<QueueEntry>{};
}

Result<std::vector<QueueEntry>> QueueScan::slice(std::size_t limit)
{
    std::vector<QueueEntry> entries;
    while (entries.size() < limit) {
        TRY(auto entry, next());
        if (!entry)
            break;
        entries.push_back(*std::move(entry));
    }
    return entries;
}

Result<bool> is_empty(const Spool& spool, Queue queue)
{
    ScanOptions options;
    options.with_info = false;
    TRY(QueueScan scan, QueueScan::open(spool, queue, options));
    TRY(const auto entry, scan.next());
    return !entry;
}

} // namespace bulkhead
