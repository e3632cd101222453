// Connections that have had their last word.  A socket that is closed while bytes of the peer are unread is
// reset by the kernel, and the peer may lose what it was told: such a connection stays for a moment, until
// the peer closes.
#pragma once

#include "async/loop.h"
#include "base/clock.h"
#include "base/unique_fd.h"

#include <list>
#include <memory>
#include <string_view>

namespace bulkhead
{

class Farewells
{
public:
    Farewells();

    // Sends the text as far as it goes without waiting, then hears the peer out for at most two seconds. Many
    // at once: the oldest ones are closed at once.
    void say(UniqueFd client, std::string_view text);

    // The same where there is no descriptor for another connection to stay.
    static void say_and_close(UniqueFd client, std::string_view text);

private:
    struct Leaving {
        UniqueFd fd;
        std::unique_ptr<ReadWatch> watch;
        SteadyTime until;
    };

    void hear(std::list<Leaving>::iterator one);
    void time_over();

    std::list<Leaving> leaving_; // the oldest first
    Timer timer_;
};

} // namespace bulkhead
