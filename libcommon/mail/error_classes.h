// The classes of trouble that the postmaster may be told of (notify_classes).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <span>
#include <string>

namespace bulkhead
{

enum class ErrorClass : std::uint8_t {
    bounce,        // mail refused or returned; implies double_bounce
    double_bounce, // "2bounce": a notice that could not be delivered
    data,          // a table or file that is needed cannot be had
    delay,         // mail that has waited long
    policy,        // refused by a restriction
    protocol,      // the other side, or we, broke the protocol
    resource,      // no room
    software,      // anything else that went wrong here
};

class ErrorClasses
{
public:
    // Any case.  Fault::config for a class that does not exist.
    static Result<ErrorClasses> parse(std::span<const std::string> names);

    constexpr void add(ErrorClass one) { bits_ |= 1U << static_cast<unsigned>(one); }
    constexpr bool has(ErrorClass one) const { return (bits_ >> static_cast<unsigned>(one) & 1U) != 0; }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr ErrorClasses common_with(ErrorClasses other) const
    {
        other.bits_ &= bits_;
        return other;
    }

private:
    unsigned bits_ = 0;
};

} // namespace bulkhead
