#include "config/install_paths.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace bulkhead
{

static std::string below(const std::string& prefix, std::string_view path)
{
    return path.starts_with('/') ? std::string(path) : prefix + "/" + std::string(path);
}

// The prefix of an installation in which `executable` lies in the folder `relative`; empty if it does not.
static std::string prefix_before(const std::string& executable, std::string_view relative)
{
    const auto slash = executable.rfind('/');
    const std::string folder = executable.substr(0, slash == std::string::npos ? 0 : slash);
    const std::string tail = "/" + std::string(relative);
    if (relative.starts_with('/') || !folder.ends_with(tail))
        return {};
    return folder.substr(0, folder.size() - tail.size());
}

InstallPaths install_paths_for(const std::string& executable)
{
    std::string prefix = prefix_before(executable, BULKHEAD_DAEMON_DIR);
    if (prefix.empty())
        prefix = prefix_before(executable, BULKHEAD_COMMAND_DIR);
    if (prefix.empty())
        prefix = BULKHEAD_PREFIX;
    return InstallPaths{
        .command_directory = below(prefix, BULKHEAD_COMMAND_DIR),
        .daemon_directory = below(prefix, BULKHEAD_DAEMON_DIR),
        .config_directory = below(prefix, BULKHEAD_CONFIG_DIR),
        .queue_directory = below(prefix, BULKHEAD_QUEUE_DIR),
        .data_directory = below(prefix, BULKHEAD_DATA_DIR),
        .owner = BULKHEAD_OWNER,
        .setgid_group = BULKHEAD_SETGID_GROUP,
    };
}

const InstallPaths& install_paths()
{
    static const InstallPaths paths = [] {
        char buffer[PATH_MAX];
        const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
        return install_paths_for(size > 0 ? std::string(buffer, static_cast<std::size_t>(size))
                                          : std::string());
    }();
    return paths;
}

std::string default_config_directory()
{
    const char* const named = std::getenv("MAIL_CONFIG");
    return named != nullptr && *named != '\0' ? named : install_paths().config_directory;
}

} // namespace bulkhead
