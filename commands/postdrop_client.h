// The other end of postdrop: a child process that takes the records of a message on its
// standard input and answers what became of it (compat/queue-format.md, section 10).
// Without an end record it forgets the message, so an early return of the caller leaves nothing.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class PostdropClient
{
public:
    // program: the path of postdrop.  directory: its -c.
    static Result<PostdropClient> start(const std::string& program,
                                        const std::optional<std::string>& directory);

    // Fault::io when postdrop no longer reads: finish() says why.
    Result<> write(std::string_view records);

    struct Answer {
        std::optional<unsigned> status; // bits of ipc::cleanup_status; nullopt: none was given
        std::string reason;             // postdrop's own words, printable
    };
    // Closes its input and waits for its end.
    Answer finish();

private:
    UniqueFd in_;
    UniqueFd out_;
    pid_t pid_ = -1;
};

} // namespace bulkhead
