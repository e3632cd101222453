// Who starts commands for a delivery agent.  The agent itself is jailed and cannot: before
// it enters the jail it leaves a small process behind, which is root with no rights but to
// become somebody.  It reads nothing of strangers: it is given an identity, words and
// descriptors, starts the command, and tells how it ended.  It never becomes root or the
// mail system's own user, and it opens no file before it has become the command's user.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

struct CommandIdentity {
    uid_t uid = 0;
    gid_t gid = 0;

    bool operator==(const CommandIdentity&) const = default;
};

struct Command {
    CommandIdentity user;
    std::string root;      // chroot there first; empty: no
    std::string directory; // work there; empty: where the agent was started
    std::vector<std::string> words;
    std::vector<std::string> environment; // NAME=value
};

// How it ended, as wait(2) has it.
struct CommandEnd {
    int wait_status = 0;
};

// A command under way.  Dropping it kills the command and what it has started.
class StartedCommand
{
public:
    explicit StartedCommand(UniqueFd link) : link_(std::move(link)) {}

    // Readable when the command has ended: then end() gives the status without waiting.
    int fd() const { return link_.get(); }
    Result<CommandEnd> end();
    void kill();

private:
    UniqueFd link_;
};

class CommandStarter
{
public:
    struct Rules {
        std::vector<uid_t> refused_users; // besides root
        // Not empty: these identities and no others (pipe's user=).
        std::vector<CommandIdentity> only;
        std::string program; // in messages: "local"
    };

    // Forks: call it in before_jail(), before anything has made a thread.
    static Result<CommandStarter> create(Rules rules);

    // May be called from any thread.  Descriptors become the command's 0, 1 and 2; they stay
    // the caller's.  Fault::refused: not for this user.  A program that cannot be run ends
    // with EX_TEMPFAIL and a line on descriptor 2, like one that says so itself.
    Result<StartedCommand> start(const Command& command, int input, int output, int errors) const;

    static constexpr std::size_t size_limit = 128 * 1024; // of all words and variables

private:
    explicit CommandStarter(UniqueFd link) : link_(std::move(link)) {}
    UniqueFd link_;
};

// The request on the wire: every field ends with a NUL byte.  For the starter and its tests.
Result<std::string> encode_command(const Command& command);
Result<Command> decode_command(std::string_view bytes);

} // namespace bulkhead
