// The door for the administrator's commands: a UNIX socket in an environment's pid folder.
// A request is one line, the answer is text, its first line "ok" or "error REASON".
// Only root is heard, and nobody can keep the master waiting: input, output, connections
// and time are bounded.
#pragma once

#include "async/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace bulkhead
{

class ControlDoor
{
public:
    using Handler = std::function<std::string(std::string_view request)>;

    static Result<std::unique_ptr<ControlDoor>> open(const std::string& path, Handler handler);
    ~ControlDoor();
    ControlDoor(const ControlDoor&) = delete;

private:
    struct Visitor {
        explicit Visitor(UniqueFd socket) : fd(std::move(socket)) {}
        UniqueFd fd;
        std::string input;
        std::unique_ptr<ReadWatch> watch;
        std::unique_ptr<Timer> patience;
    };
    using Visitors = std::list<Visitor>;

    ControlDoor(UniqueFd fd, std::string path, Handler handler);
    void visitor_comes();
    void visitor_speaks(Visitor& visitor);
    void answer(const Visitor& visitor, std::string_view request);
    void dismiss(Visitor& visitor);

    UniqueFd fd_;
    std::string path_;
    Handler handler_;
    ReadWatch watch_;
    Visitors visitors_;
    std::shared_ptr<bool> alive_; // shared with posted work, which may run after our end
};

} // namespace bulkhead
