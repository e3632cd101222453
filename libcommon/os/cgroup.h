// Groups of processes with limits that the kernel keeps (cgroup v2): memory, share of the processors, number
// of tasks.  The master uses them where the system has delegated a part of the tree to it, as
// systemd does with Delegate=yes and container engines with a private cgroup namespace.
#pragma once

#include "base/result.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace bulkhead
{

struct CgroupLimits {
    std::uint64_t memory = 0;     // bytes; 0: none
    std::uint64_t cpu_weight = 0; // 1 to 10000, 0: as the system has it
    std::uint64_t tasks = 0;      // 0: none

    bool operator==(const CgroupLimits&) const = default;
};

// The folder of the calling process's own group in the mounted tree; nullopt when there is no cgroup v2.
std::optional<std::string> own_cgroup();

// One group below the tree; it is removed with the object, once its last process is gone.
class Cgroup
{
public:
    Cgroup(Cgroup&& other) noexcept;
    Cgroup& operator=(Cgroup&&) = delete;
    ~Cgroup();

    Result<> limit(const CgroupLimits& limits) const;
    Result<> add(pid_t pid) const;
    const std::string& folder() const { return folder_; }

private:
    friend class CgroupTree;
    explicit Cgroup(std::string folder) : folder_(std::move(folder)) {}

    std::string folder_;
};

class CgroupTree
{
public:
    // Makes `folder`, the caller's own group, one that has groups below it: the caller goes into the
    // one named "master", since only leaves have processes.  An error says what is not delegated.
    static Result<CgroupTree> take_over(const std::string& folder);

    Result<Cgroup> make(const std::string& name) const;

private:
    explicit CgroupTree(std::string folder) : folder_(std::move(folder)) {}

    std::string folder_;
};

} // namespace bulkhead
