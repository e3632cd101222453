#include "mail/error_classes.h"

#include "base/text.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace bulkhead
{

Result<ErrorClasses> ErrorClasses::parse(std::span<const std::string> names)
{
    constexpr std::array<std::string_view, 8> known{"bounce", "2bounce",  "data",     "delay",
                                                    "policy", "protocol", "resource", "software"};
    ErrorClasses classes;
    for (const std::string& name : names) {
        std::size_t i = 0;
        while (i < known.size() && !equals_ignoring_case(name, known[i]))
            ++i;
        if (i == known.size())
            return Error{Fault::config, fmt::format("unknown class \"{}\"", name)};
        classes.add(static_cast<ErrorClass>(i));
    }
    if (classes.has(ErrorClass::bounce))
        classes.add(ErrorClass::double_bounce);
    return classes;
}

} // namespace bulkhead
