#include "table/server_modules.h"

#include "config/install_paths.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <map>

namespace bulkhead
{

static std::string& module_directory()
{
    static std::string directory = install_paths().daemon_directory;
    return directory;
}

static std::string module_path(std::string_view type)
{
    return fmt::format("{}/table-{}.so", module_directory(), type);
}

void set_server_module_directory(std::string directory)
{
    module_directory() = std::move(directory);
}

std::vector<std::string_view> server_module_types()
{
    return {"ldap", "mysql", "pgsql", "sqlite"};
}

bool is_server_module_installed(std::string_view type)
{
    return ::access(module_path(type).c_str(), R_OK) == 0;
}

// Libraries write to sockets that the server may have closed.
static void ignore_broken_pipes()
{
    struct sigaction action{};
    if (::sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL)
        ::signal(SIGPIPE, SIG_IGN);
}

static Result<const ServerModule*> load(std::string_view type)
{
    const std::string path = module_path(type);
    if (!is_server_module_installed(type))
        return Error{Fault::not_found, fmt::format("table type {0}: module {1} is not installed (package "
                                                   "bulkhead-{0})",
                                                   type, path)};
    // Never unloaded: libraries leave threads, keys and exit handlers behind.
    void* const handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr)
        return Error{Fault::broken, fmt::format("table type {}: {}", type, ::dlerror())};
    const auto entry = reinterpret_cast<ServerModuleEntry>(::dlsym(handle, server_module_symbol));
    if (entry == nullptr || entry()->version != server_module_version)
        return Error{Fault::broken,
                     fmt::format("table type {}: module {} is of another version", type, path)};
    ignore_broken_pipes();
    return entry();
}

Result<const ServerModule*> load_server_module(std::string_view type)
{
    static std::map<std::string, const ServerModule*, std::less<>> loaded;
    if (const auto it = loaded.find(type); it != loaded.end())
        return it->second;
    TRY(const ServerModule* const module, load(type));
    loaded.emplace(type, module);
    return module;
}

} // namespace bulkhead
