// How fast deliveries may follow one another: a delay as Postfix has it ("2s": so long
// between the end of one and the start of the next), or a rate ("20/s", "600/h": so many
// are started in that time, evenly spaced).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string_view>

namespace bulkhead
{

class Rate
{
public:
    Rate() = default; // no limit

    // "0s", "2s", "5m"; "20/s", "600/h", "1000/m", "1/d".  Fault::config: "bad delay or rate: ...".
    static Result<Rate> parse(std::string_view text);

    bool is_limited() const { return interval_ > 0; }
    bool is_delay() const { return is_limited() && !per_start_; }
    bool is_per_start() const { return is_limited() && per_start_; }
    std::int64_t interval() const { return interval_; } // microseconds

private:
    Rate(std::int64_t interval, bool per_start) : interval_(interval), per_start_(per_start) {}

    std::int64_t interval_ = 0;
    bool per_start_ = false;
};

} // namespace bulkhead
