#include "os/cgroup.h"

#include "base/text.h"
#include "os/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::array<std::string_view, 3> wanted_controllers{"memory", "cpu", "pids"};

Result<> set(const std::string& path, const std::string& value)
{
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd || ::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return system_error(fmt::format("write \"{}\" to {}", value, path));
    return {};
}

Result<> make_folder(const std::string& path)
{
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
        return system_error("create " + path);
    return {};
}

// The first mount of the file system in /proc/self/mountinfo: "... ROOT POINT OPTIONS - TYPE ...".
std::optional<std::string> mount_point()
{
    const auto mounts = read_file("/proc/self/mountinfo");
    if (!mounts)
        return std::nullopt;
    for (const std::string_view line : split(*mounts, "\n")) {
        const auto type = line.find(" - cgroup2 ");
        const std::vector<std::string_view> words = split(line.substr(0, type), " ");
        if (type != std::string_view::npos && words.size() > 4)
            return std::string(words[4]);
    }
    return std::nullopt;
}

} // namespace

std::optional<std::string> own_cgroup()
{
    const auto point = mount_point();
    const auto groups = read_file("/proc/self/cgroup");
    if (!point || !groups)
        return std::nullopt;
    for (const std::string_view line : split(*groups, "\n"))
        if (line.starts_with("0::/"))
            return *point + (line == "0::/" ? "" : std::string(line.substr(3)));
    return std::nullopt;
}

Result<CgroupTree> CgroupTree::take_over(const std::string& folder)
{
    TRY(const std::string listed, read_file(folder + "/cgroup.controllers"));
    const std::vector<std::string_view> present = split(listed, " \n");
    for (const std::string_view controller : wanted_controllers)
        if (std::ranges::find(present, controller) == present.end())
            return Error{Fault::refused, fmt::format("{} has no controller \"{}\"", folder, controller)};
    TRY_VOID(make_folder(folder + "/master"));
    TRY_VOID(set(folder + "/master/cgroup.procs", std::to_string(::getpid())));
    for (const std::string_view controller : wanted_controllers)
        TRY_VOID(set(folder + "/cgroup.subtree_control", fmt::format("+{}", controller)));
    return CgroupTree(folder);
}

Result<Cgroup> CgroupTree::make(const std::string& name) const
{
    const std::string path = fmt::format("{}/{}", folder_, name);
    TRY_VOID(make_folder(path));
    return Cgroup(path);
}

Cgroup::Cgroup(Cgroup&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}

Cgroup::~Cgroup()
{
    if (!folder_.empty())
        ::rmdir(folder_.c_str());
}

Result<> Cgroup::limit(const CgroupLimits& limits) const
{
    const auto value = [](std::uint64_t number) { return number == 0 ? "max" : std::to_string(number); };
    TRY_VOID(set(folder_ + "/memory.max", value(limits.memory)));
    TRY_VOID(set(folder_ + "/pids.max", value(limits.tasks)));
    return set(folder_ + "/cpu.weight", std::to_string(limits.cpu_weight == 0 ? 100 : limits.cpu_weight));
}

Result<> Cgroup::add(pid_t pid) const
{
    return set(folder_ + "/cgroup.procs", std::to_string(pid));
}

} // namespace bulkhead
