// What a worker may still do once it serves: chroot, an unprivileged user, no
// capabilities but those its job names, no_new_privs, resource limits and a
// system-call filter.  Entered once, before the first byte of a peer is read;
// a step that fails is an error, and the worker must not serve then.
#pragma once

#include "base/result.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// A user of the system, looked up before chroot.
struct UserIds {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
};

// Fault::config naming the user when there is none.
Result<UserIds> find_user(const std::string& name);
Result<gid_t> find_group(const std::string& name);

enum class Capability { become_user, bind_port };

// Numbers of users or groups, both ends included.
struct IdRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;

    bool operator==(const IdRange&) const = default;
};

// Whom a worker with become_user may not act as, whatever it is told.
struct RefusedIds {
    std::vector<IdRange> users;
    std::vector<IdRange> groups;

    // "u0 u200-299 g117"; Fault::malformed for anything else.
    static Result<RefusedIds> parse(std::string_view text);

    // The same without these two: a worker goes back to what it is.
    RefusedIds without(std::uint32_t user, std::uint32_t group) const;
};

struct JailPolicy {
    bool network = false;         // may make inet sockets (smtp); UNIX sockets are always possible
    std::vector<Capability> keep; // virtual: become_user, for setfsuid
    RefusedIds refused;           // with become_user
    std::uint64_t task_limit = 0; // processes and threads of its user; 0: the system's own limit
};

struct Jail {
    std::string directory;       // queue_directory, absolute
    bool change_root = false;    // chroot column of master.cf
    std::optional<UserIds> user; // nullopt: stays who it is (run by hand, not as root)
    JailPolicy policy;
};

// Something opened before the jail (a table that asks a server) will make inet sockets in it: enter_jail()
// then allows them whatever the policy says.
void allow_network_in_jail();

// Changes directory to `directory` (and root, if so asked), gives up everything.
// Threads must not exist yet.
Result<> enter_jail(const Jail& jail);

// For a process that starts commands for a jailed worker: root still, but with nothing left
// of root's rights than becoming a user, changing the root folder and ending what it started.
// The bounding set stays: a set-user-id program that it starts works as installed.
Result<> keep_rights_to_start_commands();

// Raises the soft limit of open files to the hard one, but to no more than anybody needs; the number that
// is now allowed.  In the jail it cannot be raised any more.
std::size_t raise_descriptor_limit();

} // namespace bulkhead
