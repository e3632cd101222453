#include "folder_watch.h"

#include "config/environment.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Milliseconds settle_time{300}; // several files are copied one after the other
constexpr Milliseconds poll_time{10'000};
constexpr std::uint32_t interesting = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                      IN_ATTRIB | IN_DELETE_SELF | IN_ONLYDIR;

// Another file, another content: number, size and time tell.
std::string mark_of(const std::string& directory)
{
    std::string mark;
    for (const char* const name : {"/main.cf", "/master.cf"}) {
        struct stat st{};
        if (::stat((directory + name).c_str(), &st) == 0)
            mark += fmt::format("{}:{}:{}.{} ", st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        else
            mark += "- ";
    }
    return mark;
}

} // namespace

FolderWatch::FolderWatch(std::string folder, Changed changed)
    : folder_(std::move(folder)), changed_(std::move(changed)),
      events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), settle_([this] { look_again(); }),
      poll_([this] { look_again(); })
{
    if (events_) {
        readable_ = std::make_unique<ReadWatch>(events_.get(), [this] { drain_events(); });
        readable_->enable();
    }
    marks_ = look();
    watch(marks_);
    poll_.start(poll_time);
}

FolderWatch::Marks FolderWatch::look() const
{
    Marks marks;
    for (const std::string& directory : environment_folders(folder_))
        marks.emplace(directory, mark_of(directory));
    return marks;
}

// The same folder again is no second watch; one that is gone has lost its own.
void FolderWatch::watch(const Marks& marks)
{
    if (!events_)
        return;
    ::inotify_add_watch(events_.get(), folder_.c_str(), interesting);
    for (const auto& [directory, mark] : marks)
        ::inotify_add_watch(events_.get(), directory.c_str(), interesting);
}

void FolderWatch::drain_events()
{
    char block[16 * 1024];
    while (::read(events_.get(), block, sizeof block) > 0)
        continue;
    watch(look()); // of a folder that has just appeared, its files are yet to come
    settle_.start(settle_time);
}

void FolderWatch::look_again()
{
    poll_.start(poll_time);
    Marks now = look();
    watch(now);
    std::vector<std::string> changed;
    for (const auto& [directory, mark] : now)
        if (const auto before = marks_.find(directory); before == marks_.end() || before->second != mark)
            changed.push_back(directory);
    for (const auto& [directory, mark] : marks_)
        if (!now.contains(directory))
            changed.push_back(directory);
    marks_ = std::move(now);
    if (!changed.empty())
        changed_(changed);
}

} // namespace bulkhead
