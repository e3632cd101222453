#include "config/level.h"

#include "base/text.h"

#include <charconv>

namespace bulkhead
{

std::optional<CompatibilityLevel> CompatibilityLevel::parse(std::string_view text)
{
    CompatibilityLevel level;
    int* const parts[] = {&level.major, &level.minor, &level.patch};
    for (int* part : parts) {
        if (text.empty() || !is_digit(text.front()))
            return std::nullopt;
        const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), *part);
        if (fault != std::errc{})
            return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        if (text.empty())
            return level;
        if (text.front() != '.')
            return std::nullopt;
        text.remove_prefix(1);
    }
    return std::nullopt;
}

} // namespace bulkhead
