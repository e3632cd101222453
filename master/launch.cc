#include "launch.h"

#include "ipc/master_link.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>

namespace bulkhead
{

namespace
{

// What posix_spawn is to do, undone by destructors.
class Attributes
{
public:
    Attributes()
    {
        ::posix_spawnattr_init(&value);
        sigset_t none;
        ::sigemptyset(&none);
        ::posix_spawnattr_setsigmask(&value, &none);
        sigset_t all;
        ::sigfillset(&all);
        ::posix_spawnattr_setsigdefault(&value, &all);
        // A group too; and SIGCONT, which is for everybody in one session, stays inside.
        ::posix_spawnattr_setflags(&value,
                                   POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }
    ~Attributes() { ::posix_spawnattr_destroy(&value); }
    Attributes(const Attributes&) = delete;

    posix_spawnattr_t value;
};

class Actions
{
public:
    Actions() { ::posix_spawn_file_actions_init(&value); }
    ~Actions() { ::posix_spawn_file_actions_destroy(&value); }
    Actions(const Actions&) = delete;

    // sources[i] becomes first + i.  A source inside of the target range would be overwritten
    // before its turn: such ones step aside first, above everything in use.
    void place(std::span<const int> sources, int first)
    {
        const int last = first + static_cast<int>(sources.size()) - 1;
        int aside = std::max(last, *std::ranges::max_element(sources)) + 1;
        std::vector<int> from(sources.begin(), sources.end());
        std::vector<int> moved;
        for (int& source : from) {
            if (source > last)
                continue;
            ::posix_spawn_file_actions_adddup2(&value, source, aside);
            moved.push_back(aside);
            source = aside++;
        }
        for (std::size_t i = 0; i < from.size(); ++i)
            ::posix_spawn_file_actions_adddup2(&value, from[i], first + static_cast<int>(i));
        for (const int fd : moved)
            ::posix_spawn_file_actions_addclose(&value, fd);
    }

    posix_spawn_file_actions_t value;
};

std::vector<char*> pointers(const std::vector<std::string>& words)
{
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (const std::string& word : words)
        result.push_back(const_cast<char*>(word.c_str()));
    result.push_back(nullptr);
    return result;
}

} // namespace

Result<Launched> launch(const Launch& launch)
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return system_error("socketpair");
    Launched result;
    result.link.reset(ends[0]);
    const UniqueFd theirs(ends[1]);

    static_assert(ipc::control_fd == ipc::config_fd + 1 && ipc::first_listen_fd == ipc::control_fd + 1);
    std::vector<int> descriptors{launch.main_cf, theirs.get()};
    descriptors.insert(descriptors.end(), launch.listeners.begin(), launch.listeners.end());
    Actions actions;
    actions.place(descriptors, ipc::config_fd);
    const Attributes attributes;
    const std::vector<char*> words = pointers(launch.words);
    const std::vector<char*> environment = pointers(launch.environment);
    const int status = ::posix_spawn(&result.pid, launch.program.c_str(), &actions.value, &attributes.value,
                                     words.data(), environment.data());
    if (status != 0)
        return system_error("exec " + launch.program, status);
    return result;
}

} // namespace bulkhead
