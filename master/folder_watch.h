// Watches the folder whose subfolders are environments: what appears, disappears or changes there is told
// once it has been quiet for a moment.  The kernel says when (inotify); a slow look by ourselves finds what
// it does not say, as for network file systems.
#pragma once

#include "async/loop.h"
#include "base/unique_fd.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

class FolderWatch
{
public:
    using Changed = std::function<void(const std::vector<std::string>& directories)>;

    FolderWatch(std::string folder, Changed changed);

    const std::string& folder() const { return folder_; }

private:
    using Marks = std::map<std::string, std::string>; // subfolder -> what its files look like

    Marks look() const;
    void watch(const Marks& marks);
    void drain_events();
    void look_again();

    std::string folder_;
    Changed changed_;
    Marks marks_;
    UniqueFd events_;
    std::unique_ptr<ReadWatch> readable_;
    Timer settle_;
    Timer poll_;
};

} // namespace bulkhead
