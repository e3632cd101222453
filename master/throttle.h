// How long a service waits before its next worker after workers have died: an answer
// to crash loops that a bystander's kill -9 does not set off.  Arithmetic on times
// that are given to it; it knows no processes.
#pragma once

#include "base/clock.h"

namespace bulkhead
{

class Throttle
{
public:
    // How a worker ended, by what it says about the next one.
    enum class Ending {
        bad_startup, // before it was ready for work: the next one will fare the same
        crash,       // abnormal, after it was ready
        killed,      // by SIGKILL: no program does that to itself
        unused,      // normal, at once, without work: not wrong, but not for ever
    };

    // longest: the pause after a bad start, and the limit of the growing one.
    explicit Throttle(Milliseconds longest) : longest_(longest) {}

    // Notes an ending and gives the pause before the next start; zero: none.
    //
    // Crashes fill a bucket that leaks; five at once, or more than one a second for
    // long, fill it.  A full bucket means a pause, each twice the one before, until
    // there was peace for twice the last pause and ten seconds.  SIGKILL and unused
    // workers count a quarter.
    Milliseconds note(Ending ending, SteadyTime now);

    // A new configuration starts with a clean sheet.
    void reset(Milliseconds longest);

private:
    static constexpr int capacity = 20;
    static constexpr int leak_per_second = 4;
    static constexpr Milliseconds first_pause{1000};

    Milliseconds longest_;
    Milliseconds last_pause_{0};
    double level_ = 0;
    SteadyTime last_ending_{};
};

} // namespace bulkhead
